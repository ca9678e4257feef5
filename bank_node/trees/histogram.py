"""Sums of the bank's own quantised gradients a bin, in the clear and exact.

The same integers that are sealed for the partners are summed here, so that a histogram of the bank and one of
a partner are of one kind. numba where it is installed; numpy gives the same integers.
"""

import numpy as np
import numpy.typing as npt

from protocol.compiled import compiled
from protocol.messages import I64, U8

Rows = npt.NDArray[np.int64]


def sums_per_bin(bins: U8, offsets: I64, rows: Rows, values: I64) -> I64:
    """Sum `values` over the given rows, a bin.

    Args:
        bins: shape (n, d), uint8. offsets: first row of each column and the total last, shape (d + 1,).
        rows: the rows that take part, shape (m,). values: (g, h) of every row, shape (n, 2).
    Returns:
        Sums, shape (offsets[-1], 2), int64.
    Raises:
        ValueError: arrays of other shapes, or rows that do not exist. `require_bins` has looked at the bins.
    """
    _require_rows(rows, values)
    if bins.shape != (len(values), len(offsets) - 1) or bins.dtype != np.uint8:
        raise ValueError("the bins do not fit their offsets and values")
    out = np.zeros((int(offsets[-1]), 2), dtype=np.int64)
    if bins.shape[1]:
        _add(bins, offsets, rows, values, out)
    return out


def require_bins(bins: U8, offsets: I64, rows: npt.NDArray[np.bool_]) -> None:
    """Raises: ValueError: a bin of these rows lies outside its column. Called once a tree, since it reads every bin.

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


def _add_numpy(bins: U8, offsets: I64, rows: Rows, values: I64, out: I64) -> None:
    flat = bins[rows].astype(np.int64) + offsets[:-1]
    for j in range(bins.shape[1]):
        np.add.at(out, flat[:, j], values[rows])


@compiled(fallback=_add_numpy)
def _add(bins: U8, offsets: I64, rows: Rows, values: I64, out: I64) -> None:
    for i in rows:
        g, h = values[i, 0], values[i, 1]
        for j in range(bins.shape[1]):
            r = offsets[j] + bins[i, j]
            out[r, 0] += g
            out[r, 1] += h
