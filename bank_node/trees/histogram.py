"""Sums of the bank's own quantised gradients a bin, in the clear and exact.

The same integers that are sealed for the partners are summed here, so that a histogram of the bank and one of
a partner are of one kind. numba where it is installed; numpy gives the same integers.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.compiled import compiled
from protocol.messages import I64, U8

Rows = npt.NDArray[np.int64]

LEAST_ROWS: Final = 8_192
"""Rows that are worth a thread of their own; whole numbers add up alike in any order."""
_THREADS: Final = min(4, os.cpu_count() or 1)
_POOL: Final = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="histogram")


def sums_per_bin(bins: U8, places: I64, offsets: I64, rows: Rows, values: I64) -> I64:
    """Sum `values` over the given rows, a bin of each column at `places`.

    Args:
        bins: shape (n, D), uint8. places: of the d columns that are summed, shape (d,).
        offsets: first row of each of these and the total last, shape (d + 1,).
        rows: the rows that take part, shape (m,). values: (g, h) of every row, shape (n, 2).
    Returns:
        Sums, shape (offsets[-1], 2), int64.
    Raises:
        ValueError: arrays of other shapes, or rows that do not exist. `require_bins` has looked at the bins.
    """
    _require_rows(rows, values)
    if bins.ndim != 2 or len(bins) != len(values) or bins.dtype != np.uint8 or len(offsets) != len(places) + 1:
        raise ValueError("the bins do not fit their offsets and values")
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < bins.shape[1]:
        raise ValueError("a sum was asked of a column that does not exist")
    if not len(places):
        return np.zeros((int(offsets[-1]), 2), dtype=np.int64)
    parts = np.array_split(rows, max(1, min(_THREADS, len(rows) // LEAST_ROWS)))

    def summed(part: Rows) -> I64:
        out = np.zeros((int(offsets[-1]), 2), dtype=np.int64)
        _add(bins, places, offsets, part, values, out)
        return out

    if len(parts) == 1:
        return summed(parts[0])
    total: I64 = np.sum(list(_POOL.map(summed, parts)), axis=0, dtype=np.int64)
    return total


def divided(bins: U8, column: int, rows: Rows, goes_left: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """The rows that go left and right by their bin of a column, each in order.

    goes_left: of every bin, shape (256,). Raises: ValueError: arrays of other shapes, or a row that does not exist.
    """
    if bins.dtype != np.uint8 or not 0 <= column < bins.shape[1] or goes_left.shape != (256,):
        raise ValueError("the bins do not fit the split")
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < len(bins):
        raise ValueError("a row that does not exist was to be divided")
    left, right = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    count = _divide(bins, column, rows, goes_left, left, right)
    return left[:count], right[: len(rows) - count]


def require_bins(bins: U8, offsets: I64, rows: npt.NDArray[np.bool_]) -> None:
    """Raises: ValueError: a bin of these rows lies outside its column. Called once, since it reads every bin.

    rows: those that are summed; others may have what the training part did not, such as the first missing value.
    """
    if (
        bins.ndim != 2
        or offsets.shape != (bins.shape[1] + 1,)
        or (bins.max(axis=0, initial=0, where=rows[:, None]) >= np.diff(offsets)).any()
    ):
        raise ValueError("a bin lies outside its column")


def _require_rows(rows: Rows, values: I64) -> None:
    if values.ndim != 2 or values.shape[1] != 2 or rows.ndim != 1 or values.dtype != np.int64:
        raise ValueError("the rows and values of a sum have other shapes than declared")
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < len(values):
        raise ValueError("a sum was asked of a row that does not exist")


def total_of(rows: Rows, values: I64) -> I64:
    """Sum of (g, h) over the given rows, shape (2,). Raises: ValueError."""
    _require_rows(rows, values)
    total = np.zeros(2, dtype=np.int64)
    _sum(rows, values, total)
    return total


def _sum_numpy(rows: Rows, values: I64, total: I64) -> None:
    total += values[rows].sum(axis=0)


@compiled(fallback=_sum_numpy)
def _sum(rows: Rows, values: I64, total: I64) -> None:
    g = h = 0
    for i in rows:
        g += values[i, 0]
        h += values[i, 1]
    total[0], total[1] = g, h


def _add_numpy(bins: U8, places: I64, offsets: I64, rows: Rows, values: I64, out: I64) -> None:
    flat = bins[np.ix_(rows, places)].astype(np.int64) + offsets[:-1]
    for j in range(len(places)):
        np.add.at(out, flat[:, j], values[rows])


@compiled(fallback=_add_numpy)
def _add(bins: U8, places: I64, offsets: I64, rows: Rows, values: I64, out: I64) -> None:
    for i in rows:
        g, h = values[i, 0], values[i, 1]
        for j in range(len(places)):
            r = offsets[j] + bins[i, places[j]]
            out[r, 0] += g
            out[r, 1] += h


def _divide_numpy(bins: U8, column: int, rows: Rows, goes_left: npt.NDArray[np.bool_], left: Rows, right: Rows) -> int:
    chosen = goes_left[bins[rows, column]]
    count = int(chosen.sum())
    left[:count], right[: len(rows) - count] = rows[chosen], rows[~chosen]
    return count


@compiled(fallback=_divide_numpy)
def _divide(bins: U8, column: int, rows: Rows, goes_left: npt.NDArray[np.bool_], left: Rows, right: Rows) -> int:
    count = 0
    for k in range(len(rows)):
        i = rows[k]
        if goes_left[bins[i, column]]:
            left[count] = i
            count += 1
        else:
            right[k - count] = i
    return count
