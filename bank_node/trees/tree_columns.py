"""The columns that one tree may use, of all parties."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bank_node.partners.partner_view import PartnerView
from bank_node.trees.local_columns import LocalColumns
from bank_node.trees.split_gains import Grid
from protocol.algorithms.binning import ColumnShape, starts_of
from protocol.messages import I64


@dataclass(frozen=True)
class Columns:
    """The columns of one party that a tree may use. places: in the party's list, ascending.

    rows: their rows of the party's matrix, in order. directions: as `Grid` has them.
    """

    places: tuple[int, ...]
    shapes: tuple[ColumnShape, ...]
    rows: I64
    directions: tuple[int, ...]

    @classmethod
    def of(cls, shapes: Sequence[ColumnShape], directions: Sequence[int], places: Sequence[int]) -> "Columns":
        """The given places of a party's columns."""
        starts = starts_of(shapes)
        rows = [np.arange(starts[j], starts[j + 1]) for j in places]
        joined = np.concatenate(rows) if rows else np.zeros(0)
        picked = tuple(shapes[j] for j in places), tuple(directions[j] for j in places)
        return cls(tuple(places), picked[0], joined.astype(np.int64), picked[1])

    @cached_property
    def grid(self) -> Grid:
        """Laid out for scoring."""
        return Grid.of(self.shapes, self.directions)

    @cached_property
    def offsets(self) -> I64:
        """First row of each column among `rows`, and their number last."""
        return starts_of(self.shapes)


@dataclass(frozen=True)
class TreeColumns:
    """The columns that one tree may use: `bank`, all that the bank can split on alone, and the partners'."""

    bank: Columns
    partners: dict[str, Columns]

    @classmethod
    def draw(
        cls, local: LocalColumns, partners: Sequence[PartnerView], share: float, generator: np.random.Generator
    ) -> "TreeColumns":
        """A random share of all columns, at least one; XGBoost's colsample_bytree.

        partners: whose columns are drawn among besides the bank's own, and known columns with them;
        without any, known columns are drawn one by one.
        """
        own = local.features[: len(local.own.rules)] if partners else local.features
        features = [*own, *((p.name, j) for p in partners for j in range(len(p.columns)))]
        count = max(1, int(share * len(features)))
        drawn = set(features)
        if count < len(features):
            drawn = {features[c] for c in generator.permutation(len(features))[:count].tolist()}
        places = [k for k, feature in enumerate(local.features) if feature in drawn]
        return cls(
            Columns.of(local.shapes, local.directions, places),
            {
                p.name: Columns.of(
                    p.columns,
                    [int(shape.increasing) for shape in p.columns],
                    [j for j in range(len(p.columns)) if (p.name, j) in drawn],
                )
                for p in partners
            },
        )
