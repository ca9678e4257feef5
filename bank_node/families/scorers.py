"""Scoring by a model of any kind: what is asked of its partners, and what their answers make of a row.

A `Scorer` hides whether a model is trees, whose partners tell on which side of each split a row lies, or linear, whose
partners add up their part of its score.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bank_node.models.folder import Model
from bank_node.models.linear import LinearModel, together
from bank_node.models.trees import TreeModel
from bank_node.partners.masks import agree_on_masks, at_rows, largest_part, needing_all, summed
from bank_node.trees.scorer import Answers, Told, absent, ask_for_bits, handles_of, margins
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.glm import MaskedTermScores, TermScores, in_units
from protocol.algorithms.scoring import ScoringQuery
from protocol.algorithms.sealing import open_scores
from protocol.errors import IntegrityError
from protocol.messages import F64, I64
from protocol.role import Script, ask
from protocol.table import Column


@dataclass(frozen=True)
class Part:
    """A partner's part of the score of each row to be scored, in 1 / UNIT, shape (n,)."""

    score: I64

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Part":
        """Of some of the rows."""
        return Part(self.score[chosen])


@dataclass(frozen=True)
class PartAnswers:
    """One partner's partial scores of its row space, in 1 / UNIT, and what stands for a row that it does not hold."""

    scores: I64 = field(repr=False)
    not_held: int

    def at(self, positions: I64) -> Part:
        """Those of rows that stand at these places of the row space, -1 if not held."""
        return Part(np.asarray(np.where(positions >= 0, self.scores[positions], self.not_held), dtype=np.int64))


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


class Scorer(Protocol):
    """A model, and how its kind is scored."""

    def needs(self, party: str) -> bool:
        """Whether a partner must be asked."""

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script["AllAnswers"]:
        """Every partner's answer, by partner. pools: of the model. masked: partners told it their sum
        alone, which then stands under the name of all `together`."""

    def absent(self, party: str, rows: int) -> Told | Part:
        """What stands for a partner that is not asked."""

    def margins(self, bank: str, columns: Mapping[str, Column], told: Mapping[str, Told | Part], rows: int) -> F64:
        """Margins, shape (rows,), or (rows, classes): the training's to the last bit."""


@dataclass(frozen=True)
class TreeScorer:
    """Trees over the handles of several parties."""

    model: TreeModel

    def needs(self, party: str) -> bool:
        return handles_of(self.model, party) > 0

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script[Mapping[str, Answers]]:
        return (yield from ask_for_bits(self.model, pools, alignments))

    def absent(self, party: str, rows: int) -> Told:
        """All its splits take the default direction that they have learnt."""
        return absent(self.model, party, rows)

    def margins(self, bank: str, columns: Mapping[str, Column], told: Mapping[str, Told | Part], rows: int) -> F64:
        sides = {party: part for party, part in told.items() if isinstance(part, Told)}
        return margins(self.model, bank, columns, sides, rows)


@dataclass(frozen=True)
class LinearScorer:
    """An intercept, and a term a column."""

    model: LinearModel

    def needs(self, party: str) -> bool:
        return self.model.asks(party)

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script["AllAnswers"]:
        """Raises: IntegrityError: another number of rows, or other decimals than in training."""
        if masked:
            return (yield from self._ask_sum(pools, alignments))
        replies = yield from ask(_queries(pools, alignments), TermScores)
        return {p: self._answers(p, reply, alignments[p], pools[p]) for p, reply in replies.items()}

    def _ask_sum(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment]
    ) -> Script[dict[str, SumAnswers]]:
        """Raises: IntegrityError: another number of rows, or masks that do not cancel. TransportError: one is gone."""
        bank, digest = self.model.parties[0], self.model.sha256
        group = yield from agree_on_masks(bank, digest, {p: a.alignment for p, a in alignments.items()})
        with needing_all():
            replies = yield from ask(_queries(pools, alignments, group), MaskedTermScores)
        largest = sum(
            largest_part([term.coefficient for term in self.model.of(p)], self.model.decimals[p]) for p in alignments
        )
        rows = next(iter(alignments.values())).rows
        scores = summed({p: reply.scores for p, reply in replies.items()}, rows, largest)
        return {together(list(alignments)): SumAnswers(scores, {p: self.model.not_held(p) for p in alignments})}

    def _answers(self, party: str, reply: TermScores, alignment: BankAlignment, pool: str) -> PartAnswers:
        decimals, keys = self.model.decimals[party], alignment.row_keys
        if reply.decimals != decimals:
            thing = f"answered in {reply.decimals} decimals, and the model has {decimals}"
            raise IntegrityError(party, thing, "ask it what it keeps")
        sealed = reply.scores, reply.nonce
        scores = open_scores(party, keys, TermScores.KIND, pool, alignment.rows, *sealed)
        found = in_units(scores, decimals)
        largest = largest_part([term.coefficient for term in self.model.of(party)], decimals)
        if not -largest <= int(found.min(initial=0)) <= int(found.max(initial=0)) <= largest:
            raise IntegrityError(party, "sent partial scores that cannot be", "do not use this partner's answers")
        return PartAnswers(found, self.model.not_held(party))

    def absent(self, party: str, rows: int) -> Part:
        """As if it held no row."""
        return Part(np.full(rows, self.model.not_held(party), dtype=np.int64))

    def margins(self, bank: str, columns: Mapping[str, Column], told: Mapping[str, Told | Part], rows: int) -> F64:
        score = self.model.own_score(columns, rows)
        partners = self.model.parties[1:]
        whole = told.get(together(partners))
        if isinstance(whole, Part):
            return self.model.margin(score + whole.score)
        for party in partners:
            part = told.get(party)
            score = score + (part if isinstance(part, Part) else self.absent(party, rows)).score
        return self.model.margin(score)


AllAnswers = Mapping[str, Answer | SumAnswers]


def told_at(answers: AllAnswers, places: Mapping[str, I64]) -> dict[str, Told | Part]:
    """What the answers say of rows that stand at these places at each partner."""
    return {
        name: answer.at(places) if isinstance(answer, SumAnswers) else answer.at(places[name])
        for name, answer in answers.items()
    }


def _queries(
    pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], group: str = ""
) -> dict[str, ScoringQuery]:
    """What each partner is asked to score by. group: of masks, "" for none."""
    return {p: ScoringQuery(alignment=a.alignment, pool=pools[p], group=group) for p, a in alignments.items()}


def scorer_of(model: Model) -> Scorer:
    """How a model is scored."""
    return LinearScorer(model) if isinstance(model, LinearModel) else TreeScorer(model)
