"""Scoring by a model of any family: what is asked of its partners, and what their answers make of a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bank_node.partners.masks import at_rows
from protocol.algorithms.alignment import BankAlignment
from protocol.messages import F64, I64
from protocol.role import Script
from protocol.table import Column


@dataclass(frozen=True)
class Told:
    """Where each row to be scored goes at each handle of one partner, shape (handles, n)."""

    sides: npt.NDArray[np.int8]

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Told":
        """Of some of the rows."""
        return Told(self.sides[:, chosen])


@dataclass(frozen=True)
class Part:
    """A partner's part of the score of each row to be scored, in 1 / UNIT, shape (n,)."""

    score: I64

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Part":
        """Of some of the rows."""
        return Part(self.score[chosen])


ToldOf = Mapping[str, Told | Part]
"""What each partner has told of some rows."""


@dataclass(frozen=True)
class SumAnswers:
    """The sum of several partners' partial scores of the row space that they share, in 1 / UNIT.

    not_held: what stands for a row that a partner does not hold, by partner.
    """

    scores: I64 = field(repr=False)
    not_held: Mapping[str, int]

    def at(self, places: Mapping[str, I64]) -> Part:
        """Those of rows that stand at these places at each partner, -1 if not held."""
        return Part(at_rows(self.scores, places, self.not_held))


class Answer(Protocol):
    """What a partner has answered for all rows of a row space."""

    def at(self, positions: I64) -> Told | Part:
        """Of rows that stand at these places."""


AllAnswers = Mapping[str, Answer | SumAnswers]


class Scorer(Protocol):
    """A model, and how its family is scored."""

    def needs(self, party: str) -> bool:
        """Whether a partner must be asked."""

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script[AllAnswers]:
        """Every partner's answer, by partner. pools: of the model. masked: partners told it their sum
        alone, which then stands under the name of all `together`."""

    def absent(self, party: str, rows: int) -> Told | Part:
        """What stands for a partner that is not asked."""

    def margins(self, bank: str, columns: Mapping[str, Column], told: ToldOf, rows: int) -> F64:
        """Margins, shape (rows,), or (rows, classes): the training's to the last bit."""


def told_at(answers: AllAnswers, places: Mapping[str, I64]) -> dict[str, Told | Part]:
    """What the answers say of rows that stand at these places at each partner."""
    return {
        name: answer.at(places) if isinstance(answer, SumAnswers) else answer.at(places[name])
        for name, answer in answers.items()
    }
