"""What a rung adds to the bank alone: which rung is the base, and whose alerts change."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bank_node.evaluation.document import SwapSet
from bank_node.evaluation.facts import RunFacts, RungFacts
from bank_node.evaluation.metrics import Ranking, alerts
from bank_node.evaluation.scores import Key, Scored

_PREFERRED_RATE = 0.05
_ROUNDING = 1e-9


def key_of(rung: RungFacts) -> Key:
    """The key of a rung in `scores.csv`."""
    return rung.name, rung.model


def base_of(facts: RunFacts, model: str) -> RungFacts:
    """The rung that the others are held against: the label party alone, or where it is absent, the first one."""
    ladder = _ladder(facts, model)
    alone = [rung for rung in ladder if rung.parties == [facts.label_party]]
    return (alone or ladder)[0]


def full_of(facts: RunFacts, model: str) -> RungFacts:
    """The rung with most parties; the first of these."""
    return max(_ladder(facts, model), key=lambda rung: len(rung.parties))


def headline_metric(alert_rates: Sequence[float]) -> str:
    """Precision at 5% where that is among the alert rates, or else at the middle one."""
    rate = _PREFERRED_RATE if _PREFERRED_RATE in alert_rates else sorted(alert_rates)[len(alert_rates) // 2]
    return f"precision@{rate}"


def swap_set(scored: Scored, key: Key, base: Key, rate: float) -> SwapSet:
    """Rows alerted under one rung and not under the other, at the same number of alerts."""
    now, before = (_alerted(scored, scored.scores[which], rate) for which in (key, base))
    bad = scored.label > 0
    entered, left = now & ~before, before & ~now
    counts = (int(mask.sum()) for mask in (entered, left, entered & bad, left & bad))
    return SwapSet.model_validate(dict(zip(("in", "out", "bads_in", "bads_out"), counts, strict=True)))


def _ladder(facts: RunFacts, model: str) -> list[RungFacts]:
    rungs = [rung for rung in facts.rungs if rung.model == model]
    return [rung for rung in rungs if not rung.placebo] or rungs


def _alerted(scored: Scored, score: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    """Which rows are alerted, shape (n,). With declared weights: the whole rows that fit into that share of it."""
    order = Ranking.of(scored.label, score).order
    mask = np.zeros(len(order), dtype=bool)
    if scored.weight is None:
        mask[order[: alerts(rate, len(order))]] = True
    else:
        weight = np.cumsum(scored.weight[order])
        mask[order[weight <= rate * weight[-1] * (1 + _ROUNDING)]] = True
    return mask
