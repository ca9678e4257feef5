"""Figures of a rung's alerts, with intervals over customers.

| key | is |
|---|---|
| alerts_per_1000 | alerts a thousand rows: accounts of a month |
| precision | share of bads among the alerts |
| capture | share of all bad rows that are alerted |
| warned | share of customers that default which are alerted before |
| first_lead_months | of these, mean months from the first alert to the default |
| last_lead_months | the same from the last alert |
| net_benefit | money: losses avoided less the cost of all alerts |

A customer's rows are no independent draws, so that the bootstrap draws customers, with all their rows; alerts stay as
they were given. The same draws serve every rung, so that differences are paired.
"""

from collections.abc import Sequence

import numpy as np

from bank_node.metrics.intervals import Metric, Uplift, percentile
from bank_node.report.early_warning.alerts import Flags
from bank_node.report.early_warning.lead import Leads
from bank_node.report.early_warning.watched import Watched
from protocol.draws import draw
from protocol.job import EarlyWarning
from protocol.messages import F64, U8

Parts = dict[str, tuple[F64, F64 | None]]
"""By figure: numerator and denominator by customer; a plain sum where there is no denominator."""
_BLOCK = 4_000_000
METHOD = "bootstrap percentile over customers"


def parts_of(watched: Watched, label: U8, alerted: Flags, leads: Leads, settings: EarlyWarning) -> Parts:
    """What every customer adds to each figure; figures that the job has no data for are left out."""

    def count(rows: Flags) -> F64:
        return np.bincount(watched.customer[rows], minlength=watched.customers).astype(np.float64)

    bad = label > 0
    rows, alarms, caught = count(np.ones(len(bad), dtype=np.bool_)), count(alerted), count(alerted & bad)
    found: Parts = {
        "alerts_per_1000": (1000 * alarms, rows),
        "precision": (caught, alarms),
        "capture": (caught, count(bad)),
    }
    if leads.defaulted.any():
        warned = leads.warned.astype(np.float64)
        found["warned"] = (warned, leads.defaulted.astype(np.float64))
        if warned.any():
            found |= {"first_lead_months": (leads.first, warned), "last_lead_months": (leads.last, warned)}
    if watched.amount is not None:
        saved = settings.loss_given_default * settings.avoided * _exposure_at_first(watched, alerted & bad)
        found["net_benefit"] = (saved - settings.cost_of_alert * alarms, None)
    return found


def _exposure_at_first(watched: Watched, rows: Flags) -> F64:
    """The amount of each customer's earliest of these rows, 0 without one, shape (customers,)."""
    assert watched.amount is not None
    chosen = np.flatnonzero(rows)
    latest_first = chosen[np.argsort(watched.date[chosen], kind="stable")[::-1]]
    amount = np.zeros(watched.customers)
    amount[watched.customer[latest_first]] = watched.amount[latest_first]
    return amount


def values_of(parts: Parts, counts: F64) -> dict[str, F64]:
    """Every figure under B weightings of the customers, counts of shape (B, customers); NaN where it is undefined."""
    found = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, (above, below) in parts.items():
            found[name] = counts @ above if below is None else (counts @ above) / (counts @ below)
    return found


def resampled(rungs: Sequence[Parts], customers: int, resamples: int, seed: int) -> list[dict[str, F64]]:
    """Every figure of every rung on the same draws of customers, shape (resamples,)."""
    generator, size = draw(seed, "early warning"), max(1, _BLOCK // customers)
    blocks: list[list[dict[str, F64]]] = [[] for _ in rungs]
    for first in range(0, resamples, size):
        drawn = [
            np.bincount(generator.integers(customers, size=customers), minlength=customers)
            for _ in range(min(size, resamples - first))
        ]
        for parts, found in zip(rungs, blocks, strict=True):
            found.append(values_of(parts, np.stack(drawn).astype(np.float64)))
    return [
        {name: np.concatenate([block[name] for block in found]) for name in parts}
        for parts, found in zip(rungs, blocks, strict=True)
    ]


def metric(value: float, draws: F64) -> Metric:
    """A figure and its interval, widened to hold the value."""
    low, high, _ = _interval(draws, value)
    return Metric(value=value, low=min(low, value), high=max(high, value), method=METHOD)


def uplift(value: float, draws: F64) -> Uplift:
    """A difference and its interval. draws: of the difference, paired."""
    low, high, p = _interval(draws, value)
    return Uplift(value=value, low=min(low, value), high=max(high, value), p=p, method=f"paired {METHOD}")


def _interval(draws: F64, value: float) -> tuple[float, float, float]:
    finite = draws[np.isfinite(draws)]
    return percentile(finite) if len(finite) else (value, value, 1.0)
