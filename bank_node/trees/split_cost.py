"""What a new threshold of a partner would tell, in bits a row, as far as the bank can estimate it.

A threshold divides a cell of what is known of its column. It tells cell x H2(left / cell), where masses
are shares of the rows. The bank does not know how many rows lie in a bin. It takes the sums of h at the
root of the tree for them, which are proportional to the rows where all have about the same margin.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.trees.split_gains import Grid
from protocol.messages import F64

LEAST_SHARE: Final = 0.01
"""Of a column's entropy: a rarer side is not taken for cheaper than this."""


def bits_of_cuts(grid: Grid, h: F64, known: npt.NDArray[np.bool_]) -> F64:
    """Bits a row that each cut would tell, shape (d, K); at least 1% of its column's entropy.

    Args:
        h: sums of h a bin at the root, shape (R,).
        known: cuts that the bank knows, shape (d, K).
    """
    padded = np.append(np.maximum(h, 0.0), 0.0)
    bins, special = padded[grid.index], padded[grid.special]
    total = np.maximum(bins.sum(axis=1) + special, np.finfo(float).tiny)
    mass = np.cumsum(bins / total[:, None], axis=1)
    out = np.empty(mass.shape)
    for j, shape in enumerate(grid.shapes):
        share = bins[j, : shape.ordinary] / total[j]
        least = max(LEAST_SHARE * (_surprise(share).sum() + float(_surprise(special[j] / total[j]))), 1e-9)
        if shape.categorical:
            out[j] = 1.0
            continue
        ends = np.flatnonzero(known[j])
        below = np.concatenate(([0.0], mass[j, ends]))
        above = np.append(mass[j, ends], mass[j, shape.ordinary - 1])
        cell = np.searchsorted(ends, np.arange(mass.shape[1]))
        low, high = below[cell], above[cell]
        told = _surprise(mass[j] - low) + _surprise(high - mass[j]) - _surprise(high - low)
        first = float(_surprise(special[j] / total[j])) if not len(ends) else 0.0
        out[j] = np.maximum(told + first, least)
    return out


def _surprise(chances: F64 | float) -> F64:
    """-p log2 p; 0 where p is not above 0."""
    p = np.maximum(np.asarray(chances, dtype=float), 0.0)
    out: F64 = -p * np.log2(np.where(p > 0, p, 1.0))
    return out
