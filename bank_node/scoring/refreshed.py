"""`bank-node refresh`, and scoring by what it has kept: existing customers cost no exchange, a new one costs one.

The script that asks partners for a model's answers is driven here by the answers that are kept, so that what is checked
of an answer that comes is checked of one that was kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from bank_node.families.scorers import scorer_of
from bank_node.family.scorer import AllAnswers, Answer, SumAnswers
from bank_node.models.folder import ModelFolder
from bank_node.partners.lookup import evaluate, fetch_tags, open_register
from bank_node.partners.register import KeptRegister, kept_register
from bank_node.partners.sessions import PartnerSessions
from bank_node.settings.config import BankConfig
from bank_node.trees.scorer import Answers
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.boosting import SplitBits
from protocol.algorithms.glm import TermScores
from protocol.algorithms.scoring import ScoringBits, ScoringQuery
from protocol.errors import UsageError
from protocol.messages import I64, Message
from protocol.role import Exchange, Replies, Requests, ask, drive

MOST_LOOKED_UP: Final = 1000
"""New customers of one file that are looked up; of more, the file extends what was refreshed."""


@dataclass(frozen=True)
class Refreshed:
    """What a refresh of one partner came to. evaluated: ids that were new. version: told, by the partner's digest.

    changed: whether it is another version than before. pools: whose bits are kept. places: of its register.
    """

    partner: str
    version: str
    changed: bool
    evaluated: int
    places: int
    pools: int


def require_refreshable(config: BankConfig) -> None:
    """Raises: UsageError: both sides learn who matched, and so nothing is kept."""
    if config.alignment != "one-sided":
        thing = 'its alignment is "shared", under which every scoring aligns anew'
        raise UsageError(config.party, thing, "score without refresh, or train with alignment one-sided")


def refresh(sessions: PartnerSessions, partner: str, models: Sequence[ModelFolder], ids: list[bytes]) -> Refreshed:
    """Evaluate ids that are new, and fetch what is new of tags and of the bits of all the models' pools.

    Raises: FedwarnError: the partner refuses, is gone, or answers what cannot be; what was kept stays in force.
    """
    config, exchange, kept = sessions.config, sessions.exchange, kept_register(sessions.config, partner)
    sessions.agree([partner], job="", pools={partner: models[0].about.pool[partner]})
    for model in models:
        model.require_contract(partner, sessions.contracts[partner])
    opened = drive(open_register(partner, len(config.data.id), config.dating), exchange)
    facts = kept.pin(opened.register, opened.public)
    told = partial(sessions.progress, f"evaluate {partner}")
    evaluated = evaluate(kept, ids, False, exchange, told)
    fetch_tags(kept, opened.places, exchange)
    queries = [query for model in models for query in _queries(model, partner, opened.register)]
    for query in queries:
        if kept.answer(opened.version, query) is None:
            reply = drive(ask({partner: query}, _expected(query)), exchange)[partner]
            kept.keep(opened.version, query, reply)
    contract = sessions.contracts[partner].digest
    now = msgspec.structs.replace(facts, version=opened.version, contract=contract, places=opened.places)
    kept.write(now)
    sessions.part([partner], job="", pools={partner: models[0].about.pool[partner]})
    changed, pools = opened.version != facts.version, len({query.pool for query in queries})
    return Refreshed(partner, opened.version, changed, evaluated, opened.places, pools)


@dataclass
class KeptAnswers:
    """Answers of a model's partners that lie on this node's disk."""

    config: BankConfig
    folder: ModelFolder
    registers: dict[str, KeptRegister]

    def of(
        self, ids: list[bytes], agree: Callable[[Sequence[str]], None], exchange: Exchange
    ) -> tuple[dict[str, BankAlignment], AllAnswers]:
        """Where rows stand at each partner, and what it answers; an id that is new is looked up first.

        agree: greets partners that are to be asked. Raises: FedwarnError of one that is needed and cannot be asked.
        """
        alignments = {}
        for partner, kept in self.registers.items():
            facts, words = kept.facts, kept.words(ids)
            assert facts is not None
            new = len(kept.unknown(words))
            if new:
                agree([partner])
                evaluate(kept, ids, new <= MOST_LOOKED_UP, exchange, lambda done, total: None)
            alignments[partner] = kept.aligned(words, facts)
        script = scorer_of(self.folder.model).ask(self.folder.about.pool, alignments, self.folder.masked)
        answers = drive(script, self._replay)
        return {p: _held(aligned, answers[p]) for p, aligned in alignments.items()}, answers

    def _replay(self, requests: Requests) -> Replies:
        return {partner: self._answer(partner, query) for partner, query in requests.items()}

    def _answer(self, partner: str, query: Message) -> Message:
        kept = self.registers[partner]
        facts = kept.facts
        assert isinstance(query, ScoringQuery)
        assert facts is not None
        answer = kept.answer(facts.version, query)
        assert answer is not None
        return answer


def _held(aligned: BankAlignment, answer: Answer | SumAnswers) -> BankAlignment:
    """The same, where a row that is gone at the partner is not held."""
    bits = next((one for one in answer.bits if one is not None), None) if isinstance(answer, Answers) else None
    if bits is None:
        return aligned
    gone = _gone(bits, np.maximum(aligned.positions, 0)) & (aligned.positions >= 0)
    positions, keys = np.where(gone, -1, aligned.positions), aligned.keys[~gone[aligned.positions >= 0]]
    return BankAlignment(aligned.alignment, aligned.party, aligned.setting, aligned.rows, positions, keys)


def kept_answers(config: BankConfig, folder: ModelFolder, asked: Sequence[str]) -> KeptAnswers | None:
    """What a refresh has kept of all partners asked; None where something of one is not there."""
    if config.alignment != "one-sided" or not asked:
        return None
    registers = {}
    for partner in asked:
        kept = kept_register(config, partner)
        facts = kept.facts
        if facts is None or facts.contract != folder.about.contract.get(partner):
            return None
        queries = _queries(folder, partner, facts.register)
        if any(kept.answer(facts.version, query) is None for query in queries):
            return None
        registers[partner] = kept
    return KeptAnswers(config, folder, registers)


def _queries(folder: ModelFolder, partner: str, register: str) -> list[ScoringQuery]:
    """What a model asks of a partner; nothing if it uses nothing of it."""
    scorer = scorer_of(folder.model)
    if not scorer.needs(partner):
        return []
    nobody = BankAlignment(
        register, partner, "one-sided", 0, np.zeros(0, dtype=np.int64), np.zeros((0, 32), dtype=np.uint8)
    )
    requests = next(scorer.ask(folder.about.pool, {partner: nobody}, False))
    return [query for query in requests.values() if isinstance(query, ScoringQuery)]


def _expected(query: ScoringQuery) -> type[Message]:
    return ScoringBits if query.handles else TermScores


def _gone(bits: SplitBits, at: I64) -> npt.NDArray[np.bool_]:
    """Whether both bits of a row are set, which says that it is gone."""
    shift = (7 - (at & 7)).astype(np.uint8)
    both = np.asarray(bits.left[at >> 3] & bits.missing[at >> 3], dtype=np.uint8)
    return np.asarray((both >> shift) & 1, dtype=bool)
