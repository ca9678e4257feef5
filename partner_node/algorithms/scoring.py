"""The partner's half of scoring: the thresholds behind a model's handles, applied to its table as it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from partner_node.algorithms.boosting import KeptHandle
from partner_node.algorithms.information import Information
from partner_node.policy.budgets import Budgets
from partner_node.policy.readable import share_told
from partner_node.store.pools import changed_table
from protocol.algorithms.binning import NumberRule, Rule, apply_rule, shape_of
from protocol.algorithms.boosting import Split, SplitBits
from protocol.algorithms.scoring import ScoringBits
from protocol.algorithms.sealing import RowKeys, seal_answer
from protocol.contract import refuse
from protocol.he.base import OneHot
from protocol.messages import I64, U8
from protocol.table import Column

MISSING: Final = np.uint8(2)
NOT_HELD: Final = np.uint8(3)
"""Both bits: the row of this place is gone."""


@dataclass(frozen=True)
class ScoringAnswerer:
    """Scores by splits of one pool.

    pool: names these splits of it, for budgets. handles: the splits, in the order of the query. sides: of each, of
    every row of the table. columns: of the table. order: of `alignment`. keys: of its rows, where it has row keys.
    subject: of the pads that seal the answer.
    """

    party: str
    bank: str
    data: str
    pool: str
    subject: str
    handles: Sequence[KeptHandle]
    sides: Sequence[U8]
    columns: Sequence[Column]
    order: I64
    budgets: Budgets
    max_information_share: float
    score_releases: int
    alignment: str
    keys: RowKeys | None = None

    def answer(self, told: bool) -> ScoringBits:
        """The bits of every handle. told: the bank was told them of every row in training, and of a newer version by
        a refresh.

        Raises: DataError: a column is gone, or of another kind. RefusedError: a budget forbids it, and nothing leaves.
        """
        bits = tuple(self._bits(sides) for sides in self.sides)
        with self.budgets.spending():
            share = 0.0 if told else self._spend()
            self.budgets.spend_release(self.bank, self.alignment, self.pool, self.score_releases)
        if self.keys:
            bits = seal_answer(self.keys, ScoringBits.KIND, self.subject, bits)
        return ScoringBits(bits=bits, information_share=share_told(share))

    def _bits(self, sides: U8) -> SplitBits:
        told = np.where(self.order >= 0, sides[self.order], NOT_HELD)
        left, missing = (told == 1) | (told == NOT_HELD), (told == MISSING) | (told == NOT_HELD)
        return SplitBits(np.packbits(left), np.packbits(missing))

    def _spend(self) -> float:
        """Count the model's splits over all rows of the table, before they are told."""
        rules: dict[str, Rule] = {handle.column: handle.rule for handle in self.handles}
        names = list(rules)
        if not names:
            return 0.0
        bins = np.stack(
            [
                np.minimum(apply_rule(rules[n], _column(self.columns, n, rules[n], self.party)), rules[n].ordinary)
                for n in names
            ],
            axis=1,
        )
        sizes = np.array([shape_of(0, rules[n]).ordinary + 1 for n in names], dtype=np.int64)
        rows: npt.NDArray[np.int64] = np.arange(len(bins))
        meter = Information(OneHot(bins, sizes, len(bins), rows), [rules[n].ordinary for n in names], False)
        for handle in self.handles:
            meter.reveal(Split(names.index(handle.column), handle.left))
        binning = b"pool " + self.pool.encode()
        share = meter.share + self.budgets.other_shares(self.bank, self.data, binning)
        if share > self.max_information_share:
            raise refuse(
                self.party, "max_information_share", "the model's splits would tell too much of the table",
                "score by a model with fewer splits of this partner",
            )  # fmt: skip
        self.budgets.set_share(self.bank, self.data, binning, meter.share)
        return share


def sides_of(handle: KeptHandle, columns: Sequence[Column], party: str) -> U8:
    """On which side of a split every row of the table lies: 0 right, 1 left, 2 missing, shape (n,).

    Raises: DataError: the column is gone, or of another kind.
    """
    sides = np.zeros(256, dtype=np.uint8)
    sides[list(handle.left)] = 1
    sides[handle.rule.ordinary :] = 2
    return sides[apply_rule(handle.rule, _column(columns, handle.column, handle.rule, party))]


def _column(columns: Sequence[Column], name: str, rule: Rule, party: str) -> Column:
    column = next((c for c in columns if c.name == name), None)
    if column is None:
        raise changed_table(party, "is gone")
    if (column.kind == "number") != isinstance(rule, NumberRule):
        raise changed_table(party, "is of another kind")
    return column
