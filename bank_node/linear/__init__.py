"""Generalised linear models and scorecards over several parties' columns."""
