"""What the model families share: objectives, and the bank's columns in bins."""
