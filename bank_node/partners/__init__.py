"""Sessions with partners: alignment, checkup, masks, hints, and the splits that the bank knows."""
