"""The columns that one tree may use, of all parties."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bank_node.partners.partner_view import PartnerView
from bank_node.trees.split_gains import Grid
from protocol.algorithms.binning import ColumnShape, Rule, shape_of, starts_of
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
    """The columns of all parties that one tree may use."""

    bank: Columns
    partners: dict[str, Columns]

    @classmethod
    def draw(
        cls,
        rules: Sequence[Rule],
        directions: Sequence[int],
        partners: Sequence[PartnerView],
        share: float,
        generator: np.random.Generator,
    ) -> "TreeColumns":
        """A random share of all columns, at least one; XGBoost's colsample_bytree. rules, directions: the bank's."""
        shapes = [[shape_of(j, rule) for j, rule in enumerate(rules)], *(p.columns for p in partners)]
        owners = [(k, j) for k, columns in enumerate(shapes) for j in range(len(columns))]
        count = max(1, int(share * len(owners)))
        drawn = (
            sorted(generator.permutation(len(owners))[:count].tolist()) if count < len(owners) else range(len(owners))
        )
        places = [[owners[c][1] for c in drawn if owners[c][0] == k] for k in range(len(shapes))]
        ways = [list(directions), *([int(shape.increasing) for shape in p.columns] for p in partners)]
        picked = [Columns.of(*party) for party in zip(shapes, ways, places, strict=True)]
        return cls(picked[0], {p.name: c for p, c in zip(partners, picked[1:], strict=True)})
