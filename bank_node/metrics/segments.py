"""Figures by segment: how a rung ranks within a group of customers, and how its alerts fall on the group.

Alerts are those of the whole book, at the headline's alert rate: a group's selection rate is the share of its rows
among them, its true positive rate the share of its bads. Both are held against those of all other rows; the difference
has Newcombe's interval (hybrid score, Statistics in Medicine 17, 1998), rates Wilson's. A difference says that alerts
fall unevenly, and not by itself that this is unfair: groups differ in risk, too.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bank_node.metrics.alerting import alerted_rows
from bank_node.metrics.intervals import Estimates, Metric, Uplift, wilson_metric
from bank_node.metrics.measures import names_of
from bank_node.metrics.scores import Key, Scored
from bank_node.record.facts import Facts, RunFacts
from protocol.messages import F64

LEAST_ROWS = 50
LEAST_OF_A_CLASS = 10
_NO_ALERTS = ("auc", "ks", "gini", "pr_auc", "brier")

Flags = npt.NDArray[np.bool_]


class Difference(Facts):
    """A rate of the group less that of all other rows."""

    value: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


class Alerted(Facts):
    """How the alerts of the whole book fall on a group. None: of a group without rows or bads, or without others.

    selection: share of its rows alerted. found: of its bads. precision: share of bads among its alerts.
    """

    rate: float
    selection: Metric | None
    found: Metric | None
    precision: Metric | None
    selection_difference: Difference | None
    found_difference: Difference | None


class Segment(Facts):
    """One group. bads: of a 0/1 label. metrics, uplift (to the base): none where it has too few rows of a class."""

    value: str
    rows: int
    bads: int
    bad_rate: Metric | None
    metrics: dict[str, Metric]
    uplift: dict[str, Uplift]
    alerted: Alerted | None


@dataclass(frozen=True)
class _Group:
    """The rows of one group, and everything of them that all rungs share."""

    value: str
    inside: Flags
    estimates: Estimates | None


def segments(
    scored: Scored, facts: RunFacts, bases: dict[Key, Key], rate: float | None
) -> dict[Key, dict[str, list[Segment]]]:
    """By rung and model, then by column. bases: of each rung to be judged, its base. rate: of the alerts, if any."""
    found: dict[Key, dict[str, list[Segment]]] = {key: {} for key in bases}
    for column, values in scored.segments.items():
        groups = [_group(scored, facts, list(bases), str(value), values == value) for value in _in_order(values)]
        for key, base in bases.items():
            alerted = None if rate is None else alerted_rows(scored, scored.scores[key], rate)
            found[key][column] = [_segment(scored, facts, key, base, group, rate, alerted) for group in groups]
    return found


def _in_order(values: npt.NDArray[np.object_]) -> list[str]:
    """Numbers by size, as far as a group's name begins with one; else by name."""

    def place(value: str) -> tuple[float, str]:
        first = value.removeprefix("x < ").removeprefix("x ≥ ").split(" ")[0]
        try:
            return float(first) - 1e-12 * value.startswith("x <"), value
        except ValueError:
            return np.inf, value

    return sorted(set(values.tolist()), key=place)


def _group(scored: Scored, facts: RunFacts, keys: list[Key], value: str, inside: Flags) -> _Group:
    if scored.task == "binary":
        bads = int(scored.label[inside].sum())
        enough = min(bads, int(inside.sum()) - bads) >= LEAST_OF_A_CLASS
    else:
        enough = int(inside.sum()) >= LEAST_ROWS
    if not enough:
        return _Group(value, inside, None)
    within = replace(
        scored,
        label=scored.label[inside],
        weight=None if scored.weight is None else scored.weight[inside],
        scores={key: scored.scores[key][inside] for key in keys},
        customer=None if scored.customer is None else np.unique(scored.customer[inside], return_inverse=True)[1],
        segments={},
    )
    return _Group(value, inside, Estimates.of(within, facts.alert_rates[:1], facts.bootstrap, facts.seed))


def _segment(
    scored: Scored, facts: RunFacts, key: Key, base: Key, group: _Group, rate: float | None, alerted: Flags | None
) -> Segment:
    binary, names = scored.task == "binary", names_of(facts.task, facts.alert_rates)
    shown = [name for name in names if name in _NO_ALERTS] if binary else names
    estimates, bad = group.estimates, scored.label > 0
    return Segment(
        value=group.value,
        rows=int(group.inside.sum()),
        bads=int(bad[group.inside].sum()) if binary else 0,
        bad_rate=_rate(scored, bad, group.inside) if binary else None,
        metrics={name: estimates.metric(key, name) for name in shown} if estimates else {},
        uplift={name: estimates.uplift(key, base, name) for name in shown} if estimates else {},
        alerted=None if alerted is None or rate is None else _alerted(scored, bad, group.inside, rate, alerted),
    )


def _alerted(scored: Scored, bad: Flags, inside: Flags, rate: float, alerted: Flags) -> Alerted:
    rest = ~inside
    return Alerted(
        rate=rate,
        selection=_rate(scored, alerted, inside),
        found=_rate(scored, alerted, inside & bad),
        precision=_rate(scored, bad, inside & alerted),
        selection_difference=difference_of(_rate(scored, alerted, inside), _rate(scored, alerted, rest)),
        found_difference=difference_of(_rate(scored, alerted, inside & bad), _rate(scored, alerted, rest & bad)),
    )


def _rate(scored: Scored, event: Flags, among: Flags) -> Metric | None:
    """Share of rows with the event."""
    weight: F64 = (np.ones(len(among)) if scored.weight is None else scored.weight)[among]
    if not weight.any():
        return None
    rate = float(weight[event[among]].sum() / weight.sum())
    return wilson_metric(rate, weight, None if scored.customer is None else scored.customer[among])


def difference_of(here: Metric | None, there: Metric | None) -> Difference | None:
    """Newcombe's method 10."""
    if here is None or there is None:
        return None
    value = here.value - there.value
    low = value - float(np.hypot(here.value - here.low, there.high - there.value))
    high = value + float(np.hypot(here.high - here.value, there.value - there.low))
    return Difference(value=value, low=low, high=high)
