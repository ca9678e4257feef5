"""What a learned column is called by: the three hand aggregates that it goes most with."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.messages import F64

NAMED: Final = 3


def reasons(learned: npt.NDArray[np.float32], aggregates: F64, names: Sequence[str]) -> list[list[tuple[str, float]]]:
    """For each learned column its most correlated aggregates, by ranks, with the correlation; strongest first.

    learned: shape (n, columns). aggregates: shape (n, len(names)), nan where there is no value, which ranks lowest.
    """
    left, right = _ranks(learned.astype(np.float64)), _ranks(np.nan_to_num(aggregates, nan=-np.inf))
    found = left.T @ right
    return [
        [(names[k], round(float(row[k]), 3)) for k in np.argsort(-np.abs(row), kind="stable")[:NAMED]] for row in found
    ]


def _ranks(values: F64) -> F64:
    """Ranks by column, ties sharing their mean, centred and of length 1; zeros for a constant column."""
    ranked = np.empty(values.shape)
    for k, column in enumerate(values.T):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranked[:, k] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ranked -= ranked.mean(axis=0)
    length = np.sqrt((ranked**2).sum(axis=0))
    centred: F64 = ranked / np.where(length > 0, length, 1)
    return centred
