"""The early-warning part of the report: what it holds, and how it follows from scores and dates."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from bank_node.metrics.intervals import Metric, Uplift
from bank_node.metrics.ranking import Ranking, evaluate
from bank_node.metrics.scores import Key, Scored
from bank_node.metrics.stability import stability_index
from bank_node.report.early_warning.alerts import RED, Flags, bands, by_month, migration
from bank_node.report.early_warning.figures import Parts, metric, parts_of, resampled, uplift, values_of
from bank_node.report.early_warning.lead import Leads, leads
from bank_node.report.early_warning.watched import Watched
from protocol.job import EarlyWarning
from protocol.messages import F64, I64


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Month(_Part):
    """One month of the test rows. month: YYYY-MM. auc: None where all its rows are of one class.

    stability: index of its scores against the reference rows.
    """

    month: str
    rows: int
    bads: int
    alerts: int
    caught: int
    auc: float | None
    stability: float


class Cohort(_Part):
    """Loans that began in one quarter, YYYY-Qn."""

    quarter: str
    customers: int
    rows: int
    bads: int
    alerts: int
    caught: int


class WatchedRung(_Part):
    """One rung under one model. uplift: over its base. figures: see figures.py.

    lead_histogram: warned customers by whole months from the first alert to the default, all longer ones last.
    never: customers that default unwarned. migration: pairs of months by band, red, amber, green; from (line), to.
    vintages: none without a declared date of beginning.
    """

    name: str
    model: str
    figures: dict[str, Metric]
    uplift: dict[str, Uplift]
    months: list[Month]
    lead_histogram: list[int]
    never: int
    migration: list[list[int]]
    vintages: list[Cohort]


class WatchedReport(_Part):
    """settings: of the job. customers: in the test rows. defaulted: of these, with an event."""

    settings: EarlyWarning
    customers: int
    defaulted: int
    rungs: list[WatchedRung]


def watch(
    scored: Scored, watched: Watched, bases: Mapping[Key, Key], settings: EarlyWarning, resamples: int, seed: int
) -> WatchedReport:
    """Everything of one run. bases: of each rung that is judged, by rung and model, the rung it is held against."""
    keys = list(bases)
    band = {key: bands(watched, scored.scores[key], settings.capacity) for key in keys}
    lead = {key: leads(watched, band[key] == RED) for key in keys}
    parts = {key: parts_of(watched, scored.label, band[key] == RED, lead[key], settings) for key in keys}
    draws = dict(zip(keys, resampled(list(parts.values()), watched.customers, resamples, seed), strict=True))
    points = {key: _points(parts[key], watched.customers) for key in keys}
    return WatchedReport(
        settings=settings,
        customers=watched.customers,
        defaulted=int(lead[keys[0]].defaulted.sum()),
        rungs=[_rung(key, bases[key], scored, watched, band[key], lead[key], points, draws, settings) for key in keys],
    )


def _points(parts: Parts, customers: int) -> dict[str, float]:
    return {name: float(value[0]) for name, value in values_of(parts, np.ones((1, customers))).items()}


def _rung(
    key: Key, base: Key, scored: Scored, watched: Watched, band: I64, lead: Leads,
    points: Mapping[Key, dict[str, float]], draws: Mapping[Key, dict[str, F64]], settings: EarlyWarning,
) -> WatchedRung:  # fmt: skip
    label, score, alerted = scored.label, scored.scores[key], band == RED
    both = [name for name in points[key] if name in points[base]]
    return WatchedRung(
        name=key[0],
        model=key[1],
        figures={name: metric(value, draws[key][name]) for name, value in points[key].items()},
        uplift={
            name: uplift(points[key][name] - points[base][name], draws[key][name] - draws[base][name]) for name in both
        },
        months=_months(watched, label > 0, score, alerted, watched.reference[key]),
        lead_histogram=lead.histogram(settings.performance),
        never=int((lead.defaulted & ~lead.warned).sum()),
        migration=migration(watched, band),
        vintages=_vintages(watched, label > 0, alerted),
    )


def _months(watched: Watched, bad: Flags, score: F64, alerted: Flags, reference: F64) -> list[Month]:
    return [
        Month(
            month=str(month),
            rows=len(rows),
            bads=int(bad[rows].sum()),
            alerts=int(alerted[rows].sum()),
            caught=int((alerted & bad)[rows].sum()),
            auc=_auc(bad[rows], score[rows]),
            stability=stability_index(reference, score[rows]),
        )
        for month, rows in by_month(watched)
    ]


def _auc(bad: Flags, score: F64) -> float | None:
    if bad.all() or not bad.any():
        return None
    ranking = Ranking.of(bad.astype(np.uint8), score)
    return float(evaluate(ranking, np.ones((1, len(score))), [], whole=True)["auc"][0])


def _vintages(watched: Watched, bad: Flags, alerted: Flags) -> list[Cohort]:
    known = ~np.isnat(watched.vintage)
    quarter = watched.vintage.astype("datetime64[M]").astype(np.int64) // 3
    return [
        _cohort(f"{1970 + int(q) // 4}-Q{int(q) % 4 + 1}", watched, known & (quarter == q), bad, alerted)
        for q in np.unique(quarter[known])
    ]


def _cohort(name: str, watched: Watched, rows: Flags, bad: Flags, alerted: Flags) -> Cohort:
    counts: Sequence[int] = [int((rows & flags).sum()) for flags in (rows, bad, alerted, alerted & bad)]
    return Cohort(
        quarter=name, customers=len(np.unique(watched.customer[rows])), rows=counts[0], bads=counts[1],
        alerts=counts[2], caught=counts[3],
    )  # fmt: skip
