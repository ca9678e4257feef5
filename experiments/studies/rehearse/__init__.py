"""Rehearsals: a contract year played on one scenario, month by month, every clause enforced."""
