"""Second opinions: a run's figures recomputed, and its models held against the plain computation."""
