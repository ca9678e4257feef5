"""What a rung adds to the bank alone: which rung is the base, and whose alerts change."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from bank_node.metrics.alerting import alerted_rows
from bank_node.metrics.scores import Key, Scored
from bank_node.record.facts import RungFacts
from bank_node.report.document import Exposure, Rung, SwapSet

R = TypeVar("R", RungFacts, Rung)


def key_of(rung: RungFacts) -> Key:
    """The key of a rung in `scores.csv`."""
    return rung.name, rung.model


def base_of(rungs: Sequence[R], label_party: str) -> R:
    """The rung of one model that the others are held against: the label party alone; in its absence the first."""
    alone = [rung for rung in _ladder(rungs) if rung.parties == [label_party]]
    return (alone or _ladder(rungs))[0]


def full_of(rungs: Sequence[R]) -> R:
    """The rung of one model with most parties; the first of these."""
    return max(_ladder(rungs), key=lambda rung: len(rung.parties))


def swap_set(scored: Scored, key: Key, base: Key, rate: float) -> SwapSet:
    """Rows alerted under one rung and not under the other, at the same number of alerts."""
    now, before = (alerted_rows(scored, scored.scores[which], rate) for which in (key, base))
    bad = scored.label > 0
    entered, left = now & ~before, before & ~now
    counts = (int(mask.sum()) for mask in (entered, left, entered & bad, left & bad))
    return SwapSet.model_validate(dict(zip(("in", "out", "bads_in", "bads_out"), counts, strict=True)))


def exposure(scored: Scored, key: Key, base: Key, rate: float) -> Exposure:
    """Money of the bads that are alerted; of rows with an amount."""
    assert scored.amount is not None
    money = np.where(scored.label > 0, scored.amount, 0.0)
    now, before = (float(money[alerted_rows(scored, scored.scores[which], rate)].sum()) for which in (key, base))
    return Exposure(caught=now, change=now - before)


def _ladder(rungs: Sequence[R]) -> Sequence[R]:
    """All but the placebo, which is no offer."""
    return [rung for rung in rungs if not rung.placebo] or rungs
