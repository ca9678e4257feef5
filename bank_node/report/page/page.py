"""`report.html`: one self-contained page in two languages, from the document and its pictures.

The template holds the order of things, the catalogue the words, the stylesheet the looks; here is only what the
template cannot say itself. Everything that came with the data (names, the job) is escaped.
"""

from collections import defaultdict
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from bank_node.metrics.measures import sensitive_metric
from bank_node.metrics.ranking import alerts
from bank_node.metrics.scores import Scored
from bank_node.record.disclosed import disclosed
from bank_node.record.facts import DisclosureRow, Text
from bank_node.record.messages import say
from bank_node.report.advice import advice
from bank_node.report.calibrated import FIGURES
from bank_node.report.document import Report, Rung
from bank_node.report.names import Names
from bank_node.report.page.svg import with_names
from bank_node.report.page.templates import environment
from bank_node.report.plots.bands import band_plots
from bank_node.report.plots.bins import STRONGEST, bin_plots
from bank_node.report.plots.cost import cost_plots, information_limit, other_seconds, phases_of
from bank_node.report.plots.drawing import tick, title
from bank_node.report.plots.quality import quality_plots
from bank_node.report.plots.reliability import reliability_plots
from bank_node.report.plots.time import plots_of_time
from bank_node.report.uplift import base_of
from bank_node.report.wording import (
    short_name,
    watched,
    watched_change,
)

_SMALLEST_P = 0.0001
_CURVES = ("roc", "ks", "gain", "lift", "calibration", "scores", "prediction")


def render_page(report: Report, scored: Scored) -> str:
    """The page's text, the same for the same inputs."""
    rate = report.headline.metric.partition("@")[2]
    names = Names.of(report.data, report.label_party)
    called = {rung.name: names.party_set(rung) for rung in report.rungs}
    words = {tick(name): title(text) for name, text in (called | dict(names.titles)).items()}
    plots = {name: Markup(with_names(svg, words)) for name, svg in _plots(report, scored).items()}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            plots=plots,
            curves=_CURVES,
            called=called,
            title_of=names.party,
            parts=_parts(report),
            costs=_costs(report),
            advice=advice(report, names),
            style=Markup(files(__package__).joinpath("report.css").read_text(encoding="utf-8")),
            models=_by_model(report),
            full=_full(report),
            headline_rate=rate,
            second=sensitive_metric(report.task),
            disclosures=_disclosures(report),
            leaks=_leaks(report),
            readable=_readable(report),
            linear=[rung for rung in report.rungs if rung.linear],
            scores_summed=any(leak.summed for rung in report.rungs for leak in rung.leakage.values()),
            scores_each=any(rung.linear and len(rung.leakage) > 1 for rung in report.rungs),
            calibrated=[rung for rung in report.rungs if rung.calibration],
            calibration_figures=FIGURES,
            segment_metrics=("auc", "ks") if rate else (sensitive_metric(report.task),),
            banded=[rung for rung in report.rungs if rung.bands],
            strongest=STRONGEST,
            folded=scored.folds and dict(zip(("repeats", "folds"), max(scored.folds), strict=True)),
            alerted=alerts(float(rate), report.data.test) if rate else 0,
        )
    )


def _plots(report: Report, scored: Scored) -> dict[str, str]:
    quality = quality_plots(report, scored) | band_plots(report) | reliability_plots(report, scored)
    return quality | cost_plots(report) | bin_plots(report) | plots_of_time(report)


@cache
def _environment() -> Environment:
    made = environment(__package__)
    made.globals |= {
        "disclosed": disclosed,
        "short_name": short_name,
        "p_value": _p_value,
        "other_seconds": other_seconds,
        "phases_of": phases_of,
        "limit_of": information_limit,
        "watched": watched,
        "watched_change": watched_change,
    }
    made.filters |= {
        "money": lambda number: f"{number:,.0f}",
        "plus": lambda number: f"{number:+,}".replace("-", "−") if number else "0",
        "seconds": lambda number: f"{number:.2f}",
    }
    return made


def _p_value(p: float) -> Text:
    if p < _SMALLEST_P:
        return say("p_small", p=f"{_SMALLEST_P:.4f}")
    return say("p_value", p=f"{p:.2g}" if p < 0.01 else f"{p:.2f}")


def _by_model(report: Report) -> dict[str, dict[str, Any]]:
    """For each model its rungs, and the name of its base."""
    found: dict[str, list[Rung]] = defaultdict(list)
    for rung in report.rungs:
        found[rung.model].append(rung)
    return {model: {"rungs": rungs, "base": base_of(rungs, report.label_party).name} for model, rungs in found.items()}


def _full(report: Report) -> Rung:
    wanted = (report.headline.rung, report.headline.model)
    return next(rung for rung in report.rungs if (rung.name, rung.model) == wanted)


def _leaks(report: Report) -> dict[str, list[Rung]]:
    """By partner: the rungs in which it gave something away."""
    found: dict[str, list[Rung]] = defaultdict(list)
    for rung in report.rungs:
        for party in rung.leakage:
            found[party].append(rung)
    return dict(found)


def _readable(report: Report) -> dict[str, float]:
    """By partner: the share of its bins that a bank which deviates could have read after the last rung."""
    return {party: max(rung.leakage[party].readable_share for rung in rungs) for party, rungs in _leaks(report).items()}


def _costs(report: Report) -> dict[str, float]:
    """By partner: the information share that the bank has been told after the last party set."""
    return {
        party: max(rung.leakage[party].information_share for rung in rungs) for party, rungs in _leaks(report).items()
    }


def _parts(report: Report) -> list[str]:
    """The parts of the annex that this run has, in their order."""
    has = {
        "calibration": report.task == "binary",
        "models": bool(report.bin_tables) or any(rung.linear or rung.considered for rung in report.rungs),
    }
    parts = ("quality", "calibration", "models", "disclosure", "protocol", "data", "reproducibility")
    return [part for part in parts if has.get(part, True)]


def _disclosures(report: Report) -> list[DisclosureRow]:
    """Messages of one kind and direction, added up over the rungs, in order of first use."""
    rows: dict[tuple[str, str, str, bool], DisclosureRow] = {}
    for row in (row for rung in report.rungs for row in rung.disclosure):
        key = (row.sender, row.receiver, row.kind, row.encrypted)
        sofar = rows.get(key)
        total = {"count": row.count + sofar.count, "bytes": row.bytes + sofar.bytes} if sofar else {}
        rows[key] = row.model_copy(update=total)
    return list(rows.values())
