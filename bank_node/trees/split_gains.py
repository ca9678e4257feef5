"""The best split of a node, as XGBoost's `hist` scores it.

A column's ordinary bins are laid in order and cut after each of them; the special bins, `missing` and `not_held`
together, go right or left. Which subsets of categories are cuts, and how their gains are held down: categories.py. The
gain is

    T(G_L)^2 / (H_L + lambda) + T(G_R)^2 / (H_R + lambda) - T(G)^2 / (H + lambda),

T the soft threshold at alpha; a side below min_child_weight is no split. A noisy h below 0 counts as 0. How a
leaf is valued where its value is capped or bounded: leaves.py.
Source: Chen and Guestrin, arXiv:1603.02754, eq. 7; XGBoost `src/tree/hist/evaluate_splits.h`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bank_node.trees.categories import Bools, Subsets, in_order, l2_of
from bank_node.trees.leaf_values import Leaves
from protocol.algorithms.binning import ColumnShape
from protocol.messages import F64, I64

MIN_GAIN = 1e-6
"""XGBoost's kRtEps: a smaller gain is none."""


@dataclass(frozen=True)
class Candidate:
    """One split of one column. left: the ordinary bins that go left, ascending."""

    gain: float
    score: float
    column: int
    left: tuple[int, ...]
    default_left: bool


@dataclass(frozen=True)
class Grid:
    """The columns of one party in one tree, laid out for scoring.

    shapes: the d columns that take part. index: place of bin k of column j in the histogram, shape (d, K), where
    padding points at one slot past its end. special: place of `missing`, the same slot if there is none.
    directions: shape (d,): 1 where the right side of a cut must not be valued below the left, -1 not above, 0 free;
    a cut of the special bins from all others has none.
    """

    shapes: tuple[ColumnShape, ...]
    index: I64
    special: I64
    directions: I64

    @classmethod
    def of(cls, shapes: Sequence[ColumnShape], directions: Sequence[int]) -> "Grid":
        """The grid of columns whose histograms stand one after another."""
        sizes = np.array([shape.size for shape in shapes], dtype=np.int64)
        ordinary = np.array([shape.ordinary for shape in shapes], dtype=np.int64)
        starts, end = np.concatenate(([0], np.cumsum(sizes)))[:-1], int(sizes.sum())
        k = np.arange(max(ordinary, default=0) + 1)  # a cut more than bins, where each bin stands alone
        index = np.where(k < ordinary[:, None], starts[:, None] + k, end)
        missing = np.array([shape.missing for shape in shapes], dtype=bool)
        special = np.where(missing, starts + ordinary, end).astype(np.int64)
        return cls(tuple(shapes), index.astype(np.int64), special, np.array(directions, dtype=np.int64))

    @property
    def ordinary(self) -> I64:
        """Ordinary bins a column, shape (d,)."""
        return np.array([shape.ordinary for shape in self.shapes], dtype=np.int64)


@dataclass(frozen=True)
class Scored:
    """Gains of all cuts of one party's columns in one node, shape (d, K, 2): cut, special bins right or left.

    subsets: what each cut puts to the left.
    """

    gains: F64
    subsets: Subsets
    grid: Grid

    def left_of(self, column: int, cut: int) -> tuple[int, ...]:
        """The ordinary bins to the left of a cut, ascending."""
        return self.subsets.left_of(column, cut, self.grid.shapes[column].ordinary)

    def best(self, penalty: F64, price: F64 | None = None, least: float = MIN_GAIN) -> Candidate | None:
        """The cut of the largest gain less penalty, shape (d, K); infinite where a cut is not on offer.

        price: of each cut, shape (d, K): of those that gain more than `least`, the one that gains most for its price.
        """
        scores = self.gains - penalty[:, :, None]
        if not scores.size:
            return None
        ranked = scores if price is None else np.where(scores > least, scores / price[:, :, None], -np.inf)
        column, cut, default_left = np.unravel_index(int(np.argmax(ranked)), scores.shape)
        gain = float(self.gains[column, cut, default_left])
        score = float(scores[column, cut, default_left])
        if not score > MIN_GAIN:
            return None
        return Candidate(gain, score, int(column), self.left_of(int(column), int(cut)), bool(default_left))


def score_cuts(grid: Grid, sums: F64, not_held: F64, total: F64, leaves: Leaves, rows: int) -> Scored:
    """Gains of every cut of every column of one party.

    sums: (G, H) a bin, shape (R, 2). not_held: of the node's rows that the party does not hold, shape (2,).
    total: of the node, shape (2,). leaves: how they are valued there. rows: that the node is fitted on. Units: those
    of g and h.
    """
    padded = np.vstack((sums, np.zeros(2)))
    bins = padded[grid.index]
    special = padded[grid.special] + not_held
    subsets = _subsets(grid, bins, leaves, rows / max(float(total[1]), np.finfo(float).tiny))
    ordered = np.take_along_axis(bins, subsets.order[:, :, None], axis=1)
    alone = subsets.single[:, None] & (np.arange(bins.shape[1]) < grid.ordinary[:, None])
    left = np.where(alone[:, :, None], ordered, np.cumsum(ordered, axis=1))
    left = np.stack((left, left + special[:, None, :]), axis=2)
    offered = _offered(grid, subsets.single) & subsets.offered[:, :, None]
    along = grid.directions[:, None, None] * offered[:, :, 1:] if grid.directions.any() else None
    return Scored(_gains(left, total, leaves, offered, along, subsets.l2[:, None, None]), subsets, grid)


def score_subsets(
    subsets: Sequence[Sequence[int]], j: int, grid: Grid, sums: F64, not_held: F64, total: F64, leaves: Leaves
) -> F64:
    """Gains of given subsets of the bins of column j, shape (subsets, 2): special bins right or left."""
    padded = np.vstack((sums, np.zeros(2)))
    member = np.zeros((len(subsets), grid.shapes[j].ordinary))
    for k, subset in enumerate(subsets):
        member[k, list(subset)] = 1.0
    left = member @ padded[grid.index[j, : grid.shapes[j].ordinary]]
    both = np.stack((left, left + padded[grid.special[j]] + not_held), axis=1)
    l2 = np.full((1, 1), l2_of(leaves.params, grid.shapes[j].ordinary))
    return _gains(both, total, leaves, np.ones(both.shape[:2], dtype=bool), l2=l2)


def _subsets(grid: Grid, bins: F64, leaves: Leaves, rows_a_weight: float) -> Subsets:
    """What the cuts put to the left: bins as they come; of categories, what categories.py admits."""
    subsets = in_order(*grid.index.shape)
    for j, shape in enumerate(grid.shapes):
        if shape.categorical:
            subsets.lay(j, bins[j, : shape.ordinary], leaves.params, rows_a_weight)
    return subsets


def _offered(grid: Grid, single: Bools) -> Bools:
    """Cuts that exist, shape (d, K, 2): all bins left makes sense only with the special bins right.

    single: columns of which cut k puts bin k alone to the left, and the cut after the last bin puts all there.
    """
    cut, ordinary = np.arange(grid.index.shape[1]), grid.ordinary[:, None]
    last = np.where(single[:, None], ordinary, ordinary - 1)
    inner, whole = (cut < last) & (ordinary > 1), cut == last
    return np.stack((inner | whole, inner), axis=2)


def _gains(
    left: F64, total: F64, leaves: Leaves, offered: Bools, along: I64 | None = None, l2: F64 | float = 0.0
) -> F64:
    """Gains of cuts by the sums on their left, shape (..., 2), less the last axis; -inf where there is none.

    along: the way in which a cut's right side must differ from its left, 0 for any; shape as the gains.
    l2: what holds both sides' values down beyond lambda, but not their parent's.
    """
    g_left, h_left = left[..., 0], np.maximum(left[..., 1], 0.0)
    g_right, h_right = total[0] - g_left, np.maximum(total[1] - left[..., 1], 0.0)
    sides = leaves.scores(g_left, h_left + l2) + leaves.scores(g_right, h_right + l2)
    gains = sides - leaves.scores(total[:1], total[1:])[0]
    weight = max(leaves.params.min_child_weight, np.finfo(float).tiny)
    valid = offered & (h_left >= weight) & (h_right >= weight) & (gains >= leaves.params.gamma)
    if along is not None:
        valid &= (leaves.weights(g_right, h_right) - leaves.weights(g_left, h_left)) * along >= 0
    return np.where(valid, gains, -np.inf)
