"""Boosted trees over several parties' columns."""
