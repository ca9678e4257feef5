"""A partner as the bank sees it in a training: where its own rows stand, and what it knows by now."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from protocol.algorithms.binning import MAX_BIN, ColumnShape
from protocol.algorithms.boosting import Split, SplitBits
from protocol.algorithms.sealing import SplitPads, open_bits
from protocol.he.base import SecretKit
from protocol.messages import I64

Sides = npt.NDArray[np.int8]
"""Where a row goes at a split: RIGHT, LEFT or SPECIAL (missing or not held: the default direction)."""

RIGHT, LEFT, SPECIAL, UNTOLD = 0, 1, 2, 3


@dataclass
class KnownSplits:
    """Split bits that a partner has revealed for a layout: asked once, free from then on.

    rows: length of the row space. spent: the partner's information budget admits no new split.
    """

    rows: int
    sides: dict[Split, Sides] = field(default_factory=dict)
    spent: bool = False
    information_share: float = 0.0

    def with_all_of(self, other: "KnownSplits") -> "KnownSplits":
        """What either knows: two jobs on one layout may have learnt different splits."""
        share = max(self.information_share, other.information_share)
        return KnownSplits(self.rows, {**other.sides, **self.sides}, self.spent or other.spent, share)

    def of(self, column: int) -> list[Split]:
        """The known splits of one column, in the order in which they were learnt."""
        return [split for split in self.sides if split.column == column]

    def learn(self, split: Split, bits: SplitBits, among: npt.NDArray[np.bool_] | None = None) -> None:
        """Keep the answer to a split, opened; `among`: the rows it speaks of, all if None."""
        left = np.unpackbits(bits.left, count=self.rows).view(bool)
        missing = np.unpackbits(bits.missing, count=self.rows).view(bool)
        sides = np.where(missing, SPECIAL, np.where(left, LEFT, RIGHT)).astype(np.int8)
        if among is not None:
            before = self.sides.get(split, np.full(self.rows, UNTOLD, dtype=np.int8))
            sides = np.where(among, sides, before).astype(np.int8)
        self.sides[split] = sides


@dataclass(frozen=True, kw_only=True)
class View:
    """One partner as the bank sees it in a training.

    positions: where each of the bank's n rows stands in the partner's row space, -1 if not held, shape (n,), int64.
    run: the number that the partner gave the run.
    """

    name: str
    positions: I64 = field(repr=False)
    run: int = 0

    @property
    def held(self) -> npt.NDArray[np.bool_]:
        """Which of the bank's rows the partner holds, shape (n,)."""
        return self.positions >= 0

    def permuted(self, order: I64) -> Self:
        """The same partner with the held rows' positions permuted: a placebo that carries no signal."""
        held = np.flatnonzero(self.held)
        positions = self.positions.copy()
        positions[held] = self.positions[held][order]
        return replace(self, positions=positions)


@dataclass(frozen=True, kw_only=True)
class PartnerView(View):
    """One partner in one training.

    layout: name of the partner's bins. columns: their shapes. kit: seals and opens under the partner's hint.
    split_rows: "all" or "node". most_thresholds: of one column, that it reveals at most. pads: open split bits, with
    one-sided alignment; the rows' own places, which the permutation of a placebo leaves alone.
    """

    layout: str
    columns: tuple[ColumnShape, ...]
    kit: SecretKit
    known: KnownSplits
    split_rows: str = "all"
    pads: SplitPads | None = field(default=None, repr=False)
    most_thresholds: int = MAX_BIN

    def is_full(self, column: int) -> bool:
        """Whether the contract admits no further threshold of a column."""
        ordinary = self.columns[column].ordinary
        return len({split.canonical(ordinary) for split in self.known.of(column)}) >= self.most_thresholds

    def learn(self, split: Split, bits: SplitBits, among: npt.NDArray[np.bool_] | None = None) -> None:
        """Open the answer to a split, and keep it. Raises: IntegrityError: it is of another form than agreed."""
        self.known.learn(split, open_bits(self.name, self.pads, self.known.rows, bits), among)

    def spread(self, rows: I64, values: I64) -> I64:
        """Lay values of some bank rows out over the partner's row space, zero elsewhere, shape (rows of it,)."""
        out = np.zeros(self.known.rows, dtype=np.int64)
        at = self.positions[rows]
        out[at[at >= 0]] = values[at >= 0]
        return out

    def sides(self, split: Split, rows: I64) -> Sides:
        """Where some bank rows go at a known split."""
        at = self.positions[rows]
        if self.always_known(split):
            return np.where(at >= 0, LEFT, SPECIAL).astype(np.int8)
        if self._whole(split) and split not in self.known.sides:
            sides = self.known.sides[self.known.of(split.column)[0]][at]
            return np.where((at >= 0) & (sides != SPECIAL), LEFT, SPECIAL).astype(np.int8)
        return np.where(at >= 0, self.known.sides[split][at], np.int8(SPECIAL)).astype(np.int8)

    def always_known(self, split: Split) -> bool:
        """Whether the split separates only the rows not held, which the bank can tell by itself."""
        return self._whole(split) and not self.columns[split.column].missing

    def _whole(self, split: Split) -> bool:
        """Whether the split puts all bins but the missing one to the left."""
        return len(split.left) == self.columns[split.column].ordinary

    def knows(self, split: Split, rows: I64) -> bool:
        """Whether the bank can divide these rows without asking."""
        if self.always_known(split):
            return True
        sides = self.known.sides.get(split)
        if sides is None:
            return False
        if self.split_rows == "all":
            return True
        at = self.positions[rows]
        return not bool((sides[at[at >= 0]] == UNTOLD).any())

    def known_cuts(self, places: Sequence[int], width: int, rows: I64) -> npt.NDArray[np.bool_]:
        """Which cuts of these ordered columns the bank can use without asking, shape (columns, width).

        Cut k puts the bins 0 .. k to the left. Subsets of categories are no cuts, and are looked up one by one.
        """
        known = np.zeros((len(places), width), dtype=bool)
        at = {place: j for j, place in enumerate(places)}
        for j, place in enumerate(places):
            if not self.columns[place].missing:
                known[j, self.columns[place].ordinary - 1] = True
        for split in self.known.sides:
            j = at.get(split.column, -1)
            if j >= 0 and not self.columns[split.column].categorical and self.knows(split, rows):
                known[j, len(split.left) - 1] = True
        return known
