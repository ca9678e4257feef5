"""What the absence of one partner would cost when rows are scored: AUC without it, and the difference, paired.

`absences.csv` holds the test rows' scores by the learnt default directions: id, rung, model, without, score.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from bank_node.evaluation.intervals import Estimates, Metric, Uplift
from bank_node.evaluation.scores import Key, Scored


class Absence(BaseModel):
    """auc: without the partner. cost: the rung's AUC less that; positive where the partner is missed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    auc: Metric
    cost: Uplift


def absences(scored: Scored, alert_rates: Sequence[float], resamples: int, seed: int) -> dict[Key, dict[str, Absence]]:
    """By rung and model, then by the partner that is absent."""
    if not scored.absent:
        return {}
    keys = {(rung, model) for rung, model, _ in scored.absent}
    named = {_key(*names): score for names, score in scored.absent.items()}
    both = Scored(
        scored.label,
        scored.weight,
        {**{k: scored.scores[k] for k in sorted(keys)}, **named},
        {},
        customer=scored.customer,
    )
    # DeLong needs no draws: one is enough to leave the others' place filled.
    draws = 1 if Estimates.delong_applies(both) else resamples
    estimates = Estimates.of(both, alert_rates[:1], draws, seed)
    found: dict[Key, dict[str, Absence]] = {key: {} for key in keys}
    for rung, model, partner in scored.absent:
        key = _key(rung, model, partner)
        cost = estimates.uplift((rung, model), key, "auc")
        found[rung, model][partner] = Absence(auc=estimates.metric(key, "auc"), cost=cost)
    return found


def _key(rung: str, model: str, partner: str) -> Key:
    """A key that no rung has: names hold no line end."""
    return rung, f"{model}\n{partner}"
