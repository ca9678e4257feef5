"""Target leakage: a column that alone ranks the rows almost as their label does.

Such a column was mostly written after the outcome. The bank finds it in sums that it has anyway: at the root of a
first tree every row has the same probability, so that the sums of g and h of a bin tell how many bads it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_node import Node
from protocol.messages import F64

AUC: Final = 0.98
"""What honest columns of credit data do not reach alone."""
_FEW_BADS: Final = 5.0
"""Standard deviations of the noise below which a column's bads are not told from it."""


@dataclass(frozen=True)
class LeakingColumn:
    """A column under suspicion. number: its place in the party's list of columns; auc: of it alone, over its bins."""

    party: str
    number: int
    auc: float


def leaking_columns(builder: TreeBuilder, root: Node, rate: float, noise: float) -> tuple[LeakingColumn, ...]:
    """The columns of all parties whose bins rank the held rows at an AUC of more than 0.98.

    Known columns are among those that the bank sums, but the cells of a partner's column are not its bins.
    rate: of bads, the same for every row. noise: on the sums, in units of a row's largest value.
    """
    found = []
    for party, sums in root.sums.items():
        own = party == builder.bank
        columns = builder.columns.bank if own else builder.columns.partners[party]
        least = 1.0 if own else max(1.0, _FEW_BADS * noise)
        g, h = (sums * builder.units).T
        rows = h / (rate * (1 - rate))
        bads = np.clip(rate * rows - g, 0.0, None)
        goods = np.clip(rows - bads, 0.0, None)
        owners = [owner for owner, _ in builder.features(party, columns.places)]
        for k, shape in enumerate(columns.shapes):
            if owners[k] != party:
                continue
            bins = slice(int(columns.offsets[k]), int(columns.offsets[k + 1]))
            auc = auc_of_bins(bads[bins], goods[bins])
            if bads[bins].sum() >= least and auc > AUC:
                found.append(LeakingColumn(party, shape.number, auc))
    return tuple(found)


def auc_of_bins(bads: F64, goods: F64) -> float:
    """AUC of a score that puts each bin at its bad rate; 0.5 where there are not both. Shapes (bins,)."""
    total = float(bads.sum() * goods.sum())
    if total <= 0:
        return 0.5
    order = np.argsort(bads / np.maximum(bads + goods, 1e-12), kind="stable")
    below = np.cumsum(goods[order]) - goods[order]
    return float((bads[order] * (below + goods[order] / 2)).sum() / total)


def together(found: Sequence[tuple[LeakingColumn, ...]]) -> list[LeakingColumn]:
    """Each column once, at the AUC at which it was first met."""
    by_column: dict[tuple[str, int], LeakingColumn] = {}
    for suspect in (s for some in found for s in some):
        by_column.setdefault((suspect.party, suspect.number), suspect)
    return list(by_column.values())
