"""The normal distribution."""

from math import erfc, sqrt


def two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal variable."""
    return erfc(abs(z) / sqrt(2.0))
