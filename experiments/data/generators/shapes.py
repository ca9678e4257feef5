"""From a standard normal number to what stands in a table: amounts, counts, shares, classes.

Every shape rises with the number it is given, so that who writes a population decides by a sign alone which end of a
column is the risky one.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from protocol.messages import F64

Shape = Callable[[F64], npt.NDArray[Any]]
"""Values of a column for standard normal numbers, shape (n,) both."""


def amount(median: float, spread: float, digits: int = 0) -> Shape:
    """Log-normal: money, area. spread: sd of the logarithm."""
    return lambda z: np.round(median * np.exp(spread * z), digits)


def level(mean: float, sd: float, digits: int = 2) -> Shape:
    """Normal: a trend, a change, a score."""
    return lambda z: np.round(mean + sd * z, digits)


def count(mean: float, spread: float, most: int = 1000) -> Shape:
    """Whole numbers from 0 on, many small: the logarithm of one more than it is normal."""
    return lambda z: np.clip(np.floor(mean * np.exp(spread * z)), 0, most).astype(np.int64)


def share(middle: float, spread: float = 1.0) -> Shape:
    """Between 0 and 1."""
    return lambda z: np.round(1 / (1 + np.exp(-(np.log(middle / (1 - middle)) + spread * z))), 3)


def classes(*names: str) -> Shape:
    """Names of equal frequency, from the lowest to the highest."""
    texts = np.array(names, dtype=object)
    cuts = _quantiles(len(names))
    return lambda z: texts[np.searchsorted(cuts, z)]


def flag(rate: float) -> Shape:
    """0 or 1: 1 for the highest."""
    cut = _quantile(1 - rate)
    return lambda z: (z > cut).astype(np.int64)


def _quantiles(parts: int) -> F64:
    return np.array([_quantile(k / parts) for k in range(1, parts)])


def _quantile(level: float) -> float:
    """Of the standard normal distribution."""
    return NormalDist().inv_cdf(level)
