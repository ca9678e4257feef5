"""The columns that the bank can split on alone: its own, and what partners have revealed of theirs.

Thresholds t_1 < ... < t_m that a partner revealed of one ordered column cut it into m + 1 cells. The
cells are the bins of a *known column*, which the bank sums exactly and without a message. A subset of
categories is a known column of two bins. Rows that are missing or not held have a bin of their own.
A split of a known column is a split of the partner's column that was revealed, so the trees are those
that XGBoost grows from the bits as columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bank_node.family.bank_columns import BankColumns
from bank_node.partners.partner_view import LEFT, SPECIAL, PartnerView
from bank_node.trees.histogram import require_bins
from bank_node.trees.interactions import Feature
from protocol.algorithms.binning import ColumnShape, shape_of, starts_of
from protocol.algorithms.boosting import Split
from protocol.messages import I64, U8

Found = Mapping[str, frozenset[Split]]
"""Splits that a model may use without asking, by partner."""


@dataclass(frozen=True)
class KnownColumn:
    """What is known of one column of a partner.

    cuts: splits in order, so that the rows left of one are left of the next; one subset of categories;
    none where only missing rows are known.
    ordinary: bins of the whole column, but `missing`. increasing: the margin must not fall along it.
    """

    party: str
    column: int
    ordinary: int
    cuts: tuple[Split, ...]
    increasing: bool = False

    @property
    def shape(self) -> ColumnShape:
        """As a column with a bin a cell."""
        return ColumnShape(self.column, len(self.cuts) + 1, True, False, self.increasing)

    def split(self, cells: int) -> Split:
        """The partner's split that puts the first cells to the left; all cells: only missing ones go right."""
        if cells <= len(self.cuts):
            return self.cuts[cells - 1]
        return Split(self.column, tuple(range(self.ordinary)))

    def cells(self, view: PartnerView, rows: I64) -> U8:
        """The cell of each row, the number of cells where it is missing or not held, shape (rows,)."""
        last = len(self.cuts)
        sides = np.stack([view.sides(split, rows) for split in self.cuts or (self.split(1),)])
        cells = (sides != LEFT).sum(axis=0, dtype=np.uint8)
        return np.where(sides[0] == SPECIAL, np.uint8(last + 1), cells).astype(np.uint8)


@dataclass(frozen=True)
class LocalColumns:
    """The bank's d columns, then the known ones. bins: shape (n, d + known), uint8."""

    bank: str
    own: BankColumns
    own_directions: tuple[int, ...]
    known: tuple[KnownColumn, ...]
    bins: U8

    @classmethod
    def of(
        cls,
        bank: str,
        own: BankColumns,
        directions: Sequence[int],
        partners: Iterable[PartnerView],
        found: Found,
        trained: npt.NDArray[np.bool_],
        before: "LocalColumns | None" = None,
    ) -> "LocalColumns":
        """All that can be split on.

        Args:
            found: of what the partners revealed, the splits that may be used.
            trained: rows that are fitted on, shape (n,).
            before: of the same training with fewer splits; its columns are taken over.

        Raises:
            ValueError: a bin of these rows lies outside its column.
        """
        pairs = [(v, column) for v in partners for column in known_columns(v, found.get(v.name, frozenset()))]
        known = tuple(column for _, column in pairs)
        if before is not None and known == before.known:
            return before
        d, rows = own.bins.shape[1], np.arange(len(own.bins))
        there = {column: d + k for k, column in enumerate(before.known)} if before else {}
        bins = np.empty((len(rows), d + len(pairs)), dtype=np.uint8)
        bins[:, :d] = own.bins
        for k, (view, column) in enumerate(pairs, start=d):
            bins[:, k] = before.bins[:, there[column]] if before and column in there else column.cells(view, rows)
        made = cls(bank, own, tuple(directions), known, bins)
        require_bins(made.bins, starts_of(made.shapes), trained)
        return made

    @property
    def shapes(self) -> tuple[ColumnShape, ...]:
        """Of the bank's columns, then of the known ones."""
        own = (shape_of(j, rule) for j, rule in enumerate(self.own.rules))
        return (*own, *(column.shape for column in self.known))

    @property
    def directions(self) -> tuple[int, ...]:
        """Which way the margin may go along each: 1 up, -1 down, 0 free."""
        return (*self.own_directions, *(int(column.increasing) for column in self.known))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Whose column each is, and its place there."""
        own = ((self.bank, j) for j in range(len(self.own.rules)))
        return (*own, *((column.party, column.column) for column in self.known))

    def has(self, party: str, split: Split) -> bool:
        """Whether a split of a partner is one of a known column."""
        return any(column.party == party and split in column.cuts for column in self.known)

    def cuts(self, view: PartnerView, places: Sequence[int], width: int) -> npt.NDArray[np.bool_]:
        """Which cuts of a partner's ordered columns the bank scores by its own sums, shape (places, width)."""
        found = np.zeros((len(places), width), dtype=bool)
        at = {place: j for j, place in enumerate(places)}
        for j, place in enumerate(places):
            if not view.columns[place].missing:
                found[j, view.columns[place].ordinary - 1] = True
        for column in self.known:
            if column.party == view.name and column.column in at and not view.columns[column.column].categorical:
                found[at[column.column], [len(cut.left) - 1 for cut in column.cuts]] = True
        return found

    def origin(self, split: Split) -> tuple[str, Split]:
        """Whose split a split of these columns is, and how that party writes it."""
        d = len(self.own.rules)
        if split.column < d:
            return self.bank, split
        column = self.known[split.column - d]
        return column.party, column.split(len(split.left))


def usable_splits(view: PartnerView, found: Iterable[Split]) -> frozenset[Split]:
    """All splits of a partner that a local fit can use: those found, and of their columns the missing rows alone."""
    columns = known_columns(view, found)
    return frozenset(column.split(k + 1) for column in columns for k in range(len(column.cuts) + 1))


def in_order(splits: Iterable[Split]) -> tuple[Split, ...]:
    """By column, then threshold: an order that says nothing of what they gain."""
    return tuple(sorted(splits, key=lambda split: (split.column, len(split.left), split.left)))


def known_columns(view: PartnerView, splits: Iterable[Split]) -> list[KnownColumn]:
    """One column an ordered column that splits cut, and one a subset of categories.

    Where nothing is known of a partner, whether it holds a row may still be told from it: by a column
    without cuts, of the first one that has no missing values of its own.
    """
    by_column: dict[int, list[Split]] = {}
    for split in in_order(splits):
        by_column.setdefault(split.column, []).append(split)
    columns = []
    for place, cuts in sorted(by_column.items()):
        shape = view.columns[place]
        parts = [cut for cut in cuts if 0 < len(cut.left) < shape.ordinary]
        groups = [(cut,) for cut in parts] if shape.categorical and parts else [tuple(parts)]
        columns += [KnownColumn(view.name, place, shape.ordinary, group, shape.increasing) for group in groups]
    if not columns:
        whole = next((place for place, shape in enumerate(view.columns) if not shape.missing), None)
        if whole is not None:
            columns.append(KnownColumn(view.name, whole, view.columns[whole].ordinary, ()))
    return columns
