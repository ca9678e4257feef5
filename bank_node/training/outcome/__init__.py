"""What a training leaves in the run's folder: scores, models, and the facts of its report."""
