"""Alerts month by month at a fixed capacity, and the bands that they make.

Every month the `capacity` share of its rows with the highest scores is alerted, ranked as everywhere (scores.py). Red
is what is alerted; amber, the next two shares; green, the rest.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.metrics.ranking import alerts
from bank_node.report.early_warning.watched import Watched
from protocol.messages import F64, I64

RED, AMBER, GREEN = 0, 1, 2
_AMBER_SHARES: Final = 3
"""Red and amber together, in shares of the capacity."""

Flags = npt.NDArray[np.bool_]


def by_month(watched: Watched) -> Iterator[tuple[np.datetime64, I64]]:
    """Each month of the test rows in order, and its rows in tie order."""
    month = watched.month
    for one in np.unique(month):
        yield one, np.flatnonzero(month == one)


def bands(watched: Watched, score: F64, capacity: float) -> I64:
    """The band of every row, shape (n,)."""
    band = np.full(len(score), GREEN, dtype=np.int64)
    for _, rows in by_month(watched):
        ranked = rows[np.argsort(-score[rows], kind="stable")]
        red = alerts(capacity, len(rows))
        band[ranked[: _AMBER_SHARES * red]] = AMBER
        band[ranked[:red]] = RED
    return band


def migration(watched: Watched, band: I64) -> list[list[int]]:
    """Customers by band in one month (line) and in the next (column): counts of pairs of consecutive months."""
    order = np.lexsort((watched.date, watched.customer))
    customer, month, band = watched.customer[order], watched.month[order].astype(np.int64), band[order]
    pairs = (customer[1:] == customer[:-1]) & (month[1:] == month[:-1] + 1)
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (band[:-1][pairs], band[1:][pairs]), 1)
    return [[int(count) for count in line] for line in counts]
