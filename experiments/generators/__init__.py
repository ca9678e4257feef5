"""Made-up tables: seeded, calibrated, and always called synthetic. docs/scenarios.md says what each one is held to."""

from experiments.generators.populations import POPULATIONS

__all__ = ["POPULATIONS"]
