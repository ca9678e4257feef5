"""Scoring by a linear model: partners add up their part of a row's score, each alone or in a sum that masks hide."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bank_node.family.scorer import AllAnswers, Part, SumAnswers, ToldOf
from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel, together
from bank_node.partners.masks import agree_on_masks, largest_part, needing_all, summed
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.glm import MaskedTermScores, TermScores, in_units
from protocol.algorithms.scoring import ScoringQuery
from protocol.algorithms.sealing import open_scores
from protocol.errors import IntegrityError, UsageError
from protocol.messages import F64, I64
from protocol.role import Script, ask
from protocol.table import Column


@dataclass(frozen=True)
class PartAnswers:
    """One partner's partial scores of its row space, in 1 / UNIT, and what stands for a row that it does not hold."""

    scores: I64 = field(repr=False)
    not_held: int

    def at(self, positions: I64) -> Part:
        """Those of rows that stand at these places of the row space, -1 if not held."""
        return Part(np.asarray(np.where(positions >= 0, self.scores[positions], self.not_held), dtype=np.int64))


@dataclass(frozen=True)
class LinearScorer:
    """An intercept, and a term a column."""

    model: LinearModel

    def needs(self, party: str) -> bool:
        return self.model.asks(party)

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script[AllAnswers]:
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

    def margins(self, bank: str, columns: Mapping[str, Column], told: ToldOf, rows: int) -> F64:
        score = self.model.own_score(columns, rows)
        partners = self.model.parties[1:]
        whole = told.get(together(partners))
        if isinstance(whole, Part):
            return self.model.margin(score + whole.score)
        for party in partners:
            part = told.get(party)
            score = score + (part if isinstance(part, Part) else self.absent(party, rows)).score
        return self.model.margin(score)


def _queries(
    pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], group: str = ""
) -> dict[str, ScoringQuery]:
    """What each partner is asked to score by. group: of masks, "" for none."""
    return {p: ScoringQuery(alignment=a.alignment, pool=pools[p], group=group) for p, a in alignments.items()}


def linear_of(folder: ModelFolder) -> LinearModel:
    """The model, where it is linear. Raises: UsageError: it is not."""
    if not isinstance(folder.model, LinearModel):
        raise UsageError("model", f"it is a {folder.about.kind}, which has no terms", "give a linear one")
    return folder.model
