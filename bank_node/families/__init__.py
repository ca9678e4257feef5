"""The catalogue of model families, and what is done with a model of any of them."""
