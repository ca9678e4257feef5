"""Figures of merit: ranking, losses, intervals, folds, calibration."""
