"""Which subsets of a column's categories a node may be split by, and how LightGBM keeps them from fitting noise.

Fewer than max_cat_to_onehot categories: each alone against all others. Otherwise categories are laid in order of

    G / (H + lambda + cat_smooth)

and cut from both ends, at most max_cat_threshold categories from an end. A category of fewer than cat_smooth rows is
in the middle, where no cut is. Two cuts that follow one another have at least min_data_per_group rows between them, as
has each side of a cut. cat_l2 is added to lambda on both sides of a cut, though not in the value of a leaf.

Rows are not counted: the sums that a partner tells are of g and h. A bin of H has about H n / H_node rows of the n of
the node, by which LightGBM counts, too. So federated equals pooled: the bank's own columns are counted no better.
With cat_smooth, cat_l2 and min_data_per_group 0 the splits are XGBoost's.

Source: LightGBM `src/treelearner/feature_histogram.cpp`, FindBestThresholdCategoricalInner; XGBoost
`src/tree/hist/evaluate_splits.h`, EnumerateOneHot and EnumeratePart.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.algorithms.parameters import BoostingParams
from protocol.messages import F64, I64

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Subsets:
    """What the cuts of d columns put to the left. Arrays are filled in column by column.

    order: bins in the order in which they are cut, shape (d, K): cut k puts order[:k + 1] to the left; of a column in
    `single`, shape (d,), order[k] alone, and the cut after its last bin all of them.
    offered: cuts that are admitted, shape (d, K). l2: beyond lambda, shape (d,).
    """

    order: I64
    single: Bools
    offered: Bools
    l2: F64

    def left_of(self, column: int, cut: int, ordinary: int) -> tuple[int, ...]:
        """The bins that a cut puts to the left, ascending. ordinary: how many the column has."""
        first = cut if self.single[column] and cut < ordinary else 0
        return tuple(sorted(self.order[column, first : min(cut + 1, ordinary)].tolist()))

    def lay(self, column: int, sums: F64, params: BoostingParams, rows_a_weight: float) -> None:
        """Lay out the categories of one column. sums: (G, H) a bin, shape (k, 2). rows_a_weight: n / H of the node."""
        k = len(sums)
        self.single[column], self.l2[column] = _alone(params, k), l2_of(params, k)
        if self.single[column]:
            return
        weights = np.maximum(sums[:, 1], 0.0)
        below = weights + params.reg_lambda + params.cat_smooth
        ratio = np.divide(sums[:, 0], below, out=np.zeros(k), where=below > 0)
        ordered, rows = np.argsort(ratio, kind="stable"), weights * rows_a_weight
        enough = rows[ordered] >= params.cat_smooth
        used, few = ordered[enough], ordered[~enough]
        head = (len(used) + 1) // 2
        order = np.concatenate((used[:head], few, used[head:]))
        self.order[column, :k] = order
        self.offered[column, : k - 1] = _offered(rows[order], head, len(used) - head, params)


def in_order(d: int, k: int) -> Subsets:
    """Cuts of d columns of ordered bins, k at most: all are admitted."""
    order = np.broadcast_to(np.arange(k, dtype=np.int64), (d, k)).copy()
    return Subsets(order, np.zeros(d, dtype=bool), np.ones((d, k), dtype=bool), np.zeros(d))


def l2_of(params: BoostingParams, categories: int) -> float:
    """What is added to lambda on both sides of a split of a column of so many categories."""
    return 0.0 if _alone(params, categories) else params.cat_l2


def _alone(params: BoostingParams, categories: int) -> bool:
    return categories < params.max_cat_to_onehot


def _offered(rows: F64, head: int, tail: int, params: BoostingParams) -> Bools:
    """Which cuts are admitted, shape (k - 1,). head, tail: bins before and after those of few rows, as laid out."""
    offered = np.zeros(len(rows) - 1, dtype=bool)
    front = _ends_of_groups(rows[: min(head, params.max_cat_threshold)], params.min_data_per_group)
    back = _ends_of_groups(rows[::-1][: min(tail, params.max_cat_threshold)], params.min_data_per_group)
    offered[front[front < len(offered)]] = True
    offered[len(offered) - 1 - back[back < len(offered)]] = True
    left = np.cumsum(rows)[:-1]
    least = params.min_data_per_group
    offered &= (left >= least) & (rows.sum() - left >= least)
    return offered


def _ends_of_groups(rows: F64, least: float) -> I64:
    """The last bin of each group when bins in order are grouped, a group full as soon as it has `least` rows."""
    ends, had = [], 0.0
    for k, more in enumerate(rows.tolist()):
        had += more
        if had >= least:
            ends.append(k)
            had = 0.0
    return np.array(ends, dtype=np.int64)
