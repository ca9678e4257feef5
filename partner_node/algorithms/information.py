"""How much of a partner's bins the split bits have told the bank.

`information_share` is the entropy of what the bank can now tell apart, over the entropy of the bins, numerator and
denominator each summed over the columns. With split_rows = "all" the bank can tell the cells of the partition that
the revealed splits induce on a column's bins. With "node" every row has a cell of its own, the set of bins it may
still be in, and the entropy is the mean of -log2 P(cell).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from partner_node.algorithms.binning import BinnedTable
from partner_node.policy.budgets import Budgets
from partner_node.policy.readable import Bits, Entropy, Readable, readable
from protocol.algorithms.boosting import Split
from protocol.he.base import OneHot
from protocol.messages import F64, I64, U8

Bools = npt.NDArray[np.bool_]


@dataclass
class _Column:
    """One column: `units` are its bins, or the rows. sets: bins a cell may be in. cell: of each unit.

    Cells are written out when something of the column is revealed: of rows, they take eight times as many bytes as
    the bins, and of thousands of columns few are ever split.
    """

    chances: F64
    unit_bins: I64 | U8
    weights: F64
    sets: list[Bools] = field(default_factory=list)
    cell: I64 | None = None

    def __post_init__(self) -> None:
        self.sets = [np.ones(len(self.chances), dtype=bool)]

    @property
    def entropy(self) -> float:
        """Bits a row that the bank has learned, to the last digit the same for any order of the rows."""
        bits = np.array([-np.log2(max(float(self.chances[s].sum()), 1e-300)) for s in self.sets])
        shares = np.bincount(self._cells(), weights=self.weights, minlength=len(bits))
        return float((bits * shares).sum()) + 0.0

    @property
    def whole(self) -> float:
        """Bits a row that there are."""
        positive = self.chances[self.chances > 0]
        return float(-(positive * np.log2(positive)).sum()) + 0.0

    def reveal(self, sides: I64, among: Bools | None) -> None:
        """Tell the units of `among` (all if None) on which side of a split they lie; sides: of each bin."""
        self.cell = self._cells()
        told = np.arange(len(self.unit_bins)) if among is None else np.flatnonzero(among)
        before, side = self.cell[told], sides[self.unit_bins[told]]
        for cell in np.unique(before):
            for value in np.unique(side[before == cell]):
                units = told[(before == cell) & (side == value)]
                self.cell[units] = self._cell_of(self.sets[cell] & (sides == value))

    def _cells(self) -> I64:
        return np.zeros(len(self.unit_bins), dtype=np.int64) if self.cell is None else self.cell

    def _cell_of(self, bins: Bools) -> int:
        for k, known in enumerate(self.sets):
            if np.array_equal(known, bins):
                return k
        self.sets.append(bins)
        return len(self.sets) - 1


def readable_of(
    table: BinnedTable, budgets: Budgets, bank: str, account: str, rows: int, more: Bits | None = None
) -> Readable:
    """What a bank that deviated could have read so far of one binning of the whole table. rows: matched.

    more: bits that a further answer would tell.
    """
    sizes = np.array([shape.size for shape in table.shapes], dtype=np.int64)
    count = len(table.bins)
    matrix = OneHot(table.bins, sizes, count, np.arange(count, dtype=np.int64))
    meter = Information(matrix, [shape.ordinary for shape in table.shapes], by_row=False)
    for split, _ in budgets.revealed(bank, account, table.digest, None):
        meter.reveal(split)
    columns = [Entropy(*one) for one in zip(table.names, meter.whole, meter.told, strict=True)]
    others = budgets.other_shares(bank, account, table.digest)
    told = budgets.bits(bank, account)
    return readable(columns, told.plus(more) if more else told, rows, others)


class After(NamedTuple):
    """What a split would have told. share: of all bins. column: of its own column's; 0 if it were the column's first
    split, without which a column of two bins could never be used. bits: a row, of all columns."""

    share: float
    column: float
    bits: float


class Information:
    """The meter of one partner, one bank and one binning."""

    def __init__(self, matrix: OneHot, ordinary: Sequence[int], by_row: bool) -> None:
        """matrix: over all rows of the table (by_row: of the alignment). ordinary: bins but missing, a column."""
        self._ordinary, self._rows = tuple(ordinary), len(matrix.bins)
        self._columns: list[_Column] = []
        alike = np.full(self._rows if by_row else 0, 1 / max(self._rows, 1))
        for j, size in enumerate(matrix.sizes):
            bins = matrix.bins[:, j]
            chances = np.bincount(bins, minlength=int(size)) / max(len(bins), 1)
            units = bins if by_row else np.arange(int(size))
            self._columns.append(_Column(chances, units, alike if by_row else chances))
        self._whole = sum(column.whole for column in self._columns)
        self._told = [0.0] * len(self._columns)

    @property
    def share(self) -> float:
        """Share of the entropy of all bins that the bank has been told."""
        return sum(self._told) / self._whole if self._whole else 0.0

    @property
    def told(self) -> tuple[float, ...]:
        """Bits a row that the bank has been told, a column."""
        return tuple(self._told)

    @property
    def whole(self) -> tuple[float, ...]:
        """Bits a row that there are, a column."""
        return tuple(column.whole for column in self._columns)

    def sizes(self, split: Split) -> tuple[int, int, int]:
        """Rows on the right and on the left of a split, and those missing."""
        column = self._columns[split.column]
        rows = np.bincount(self._sides(split), weights=column.chances, minlength=3) * self._rows
        right, left, missing = (round(float(count)) for count in rows)
        return right, left, missing

    def reveal(self, split: Split, among: Bools | None = None) -> None:
        """Count the answer to a split."""
        column = self._columns[split.column]
        column.reveal(self._sides(split), among)
        self._told[split.column] = column.entropy

    def share_after(self, split: Split, among: Bools | None = None) -> float:
        """What the share would be, had this split been answered."""
        return self.after(split, among).share

    def after(self, split: Split, among: Bools | None = None) -> "After":
        """What would have been told, had this split been answered."""
        column = self._columns[split.column]
        sets, cell = list(column.sets), None if column.cell is None else column.cell.copy()
        column.reveal(self._sides(split), among)
        told, first = column.entropy, len(sets) == 1
        bits = sum([*self._told[: split.column], told, *self._told[split.column + 1 :]])
        column.sets, column.cell = sets, cell
        of_column = min(1.0, told / column.whole) if column.whole and not first else 0.0
        return After(bits / self._whole if self._whole else 0.0, of_column, bits)

    def _sides(self, split: Split) -> I64:
        """Left 1, right 0, missing 2 of each bin of the split's column."""
        column, ordinary = self._columns[split.column], self._ordinary[split.column]
        sides = np.zeros(len(column.chances), dtype=np.int64)
        sides[list(split.left)] = 1
        sides[ordinary:] = 2
        return sides
