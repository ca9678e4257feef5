"""Scoring new rows through a model folder, in a file of any length."""
