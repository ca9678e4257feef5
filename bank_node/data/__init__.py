"""The bank's own rows: which are trained on and tested, what a run has saved, and files of any length."""
