"""What the absence of one partner would cost when rows are scored: a metric without it, and the difference, paired.

The metric is the one that tells two models apart best: AUC; RMSE of numbers; log loss of classes. `absences.csv` holds
the test rows' scores by the learnt default directions: id, rung, model, without, score, and score_0 .. of classes.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from bank_node.metrics.intervals import Estimates, Metric, Uplift
from bank_node.metrics.measures import LOWER_IS_BETTER, sensitive_metric
from bank_node.metrics.scores import Key, Scored


class Absence(BaseModel):
    """metric: by its key. without: its value without the partner. cost: what is lost; above 0 the partner is missed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    without: Metric
    cost: Uplift


def absences(scored: Scored, alert_rates: Sequence[float], resamples: int, seed: int) -> dict[Key, dict[str, Absence]]:
    """By rung and model, then by the partner that is absent."""
    if not scored.absent:
        return {}
    keys = {(rung, model) for rung, model, _ in scored.absent}
    named = {_key(*names): score for names, score in scored.absent.items()}
    powers = scored.powers | {_key(*names): scored.powers.get(names[:2], 0.0) for names in scored.absent}
    scores = {**{k: scored.scores[k] for k in sorted(keys)}, **named}
    both = Scored(scored.label, scored.weight, scores, {}, task=scored.task, powers=powers, customer=scored.customer)
    # DeLong needs no draws: one is enough to leave the others' place filled.
    draws = 1 if Estimates.delong_applies(both) else resamples
    estimates, name = Estimates.of(both, alert_rates[:1], draws, seed), sensitive_metric(scored.task)
    found: dict[Key, dict[str, Absence]] = {key: {} for key in keys}
    for rung, model, partner in scored.absent:
        key = _key(rung, model, partner)
        higher, lower = (key, (rung, model)) if name in LOWER_IS_BETTER else ((rung, model), key)
        cost = estimates.uplift(higher, lower, name)
        found[rung, model][partner] = Absence(metric=name, without=estimates.metric(key, name), cost=cost)
    return found


def _key(rung: str, model: str, partner: str) -> Key:
    """A key that no rung has: names hold no line end."""
    return rung, f"{model}\n{partner}"
