"""A run: party sets, folds, journal and resume."""
