"""Training: which rows, which columns, and every rung of the ladder under every model."""
