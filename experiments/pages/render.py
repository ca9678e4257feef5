"""Pages from results: each the same text for the same inputs."""

from functools import cache
from importlib.resources import files
from statistics import fmean, pstdev
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from bank_node.metrics.measures import sensitive_metric
from bank_node.record.facts import Text
from bank_node.record.messages import say
from bank_node.report.document import Report
from bank_node.report.document import Rung as ReportRung
from bank_node.report.page.templates import environment
from bank_node.report.wording import signed
from experiments.pages.pictures import compare_plot, frontier_plot, multiples, shapley_plot
from experiments.studies.rehearse.document import Rehearsal
from experiments.studies.sweep.document import Run, Rung, SweepResult
from experiments.studies.sweep.point import Point
from experiments.studies.value.card import Card
from experiments.studies.value.document import METRICS, Value

_WHOLE = 1000
"""Amounts of money from here on are told without their hundredths."""


def sweep_page(result: SweepResult, pages: bool) -> str:
    """`index.html` of a sweep. pages: whether its runs have pages to link to."""
    done = [(run, fullest(run)) for run in result.runs if run.rungs]
    headline = next((run.headline.metric for run, _ in done if run.headline), "auc")
    binary = bool(done) and "auc" in done[0][1].metrics
    return render(
        "sweep.html.j2",
        kicker="lab_sweep",
        title=Text(en=result.title.en, zh=result.title.zh),
        synthetic=result.synthetic,
        result=result,
        done=done,
        failed=[run for run in result.runs if run.error],
        pages=pages,
        metrics=list(dict.fromkeys(["auc", headline] if binary else [headline])),
        multiples=Markup(multiples(result)) if binary and result.axes else "",
        means={axis: _means(done, axis, values) for axis, values in result.axes.items()} if binary else {},
    )


def frontier_page(points: list[Point], result: SweepResult) -> str:
    """`index.html` of a frontier."""
    knobs = {knob: [p for p in points if p.knob == knob] for knob in dict.fromkeys(p.knob for p in points)}
    return render(
        "frontier.html.j2",
        kicker="lab_frontier",
        title=Text(en=result.title.en, zh=result.title.zh),
        synthetic=result.synthetic,
        result=result,
        knobs=knobs,
        plot=Markup(frontier_plot(knobs)),
    )


def rehearsal_page(found: Rehearsal) -> str:
    """`rehearsal.html` of a contract year."""
    title = Text(en=found.scenario, zh=found.scenario)
    return render("rehearsal.html.j2", kicker="lab_rehearsal", title=title, synthetic=found.synthetic, r=found)


def value_page(value: Value) -> str:
    """`value.html` of a run that was valued."""
    unit = say("lab_unit_currency", currency=value.stakes.currency) if value.stakes.currency else None
    return render(
        "value.html.j2",
        kicker="lab_value",
        title=value.title,
        synthetic=value.synthetic,
        v=value,
        measures=METRICS,
        unit=unit or say("lab_unit_exposure"),
        plot=Markup(shapley_plot(value)),
        priced={p: own for p, own in value.partners.items() if own.price},
        grouped={p: own for p, own in value.partners.items() if own.families},
    )


def card_page(card: Card, title: Text, synthetic: bool) -> str:
    """A partner's own `card.html`."""
    return render("card.html.j2", kicker="lab_card", title=title, synthetic=synthetic, c=card)


def compare_page(reports: dict[str, Report]) -> str:
    """Runs side by side, by the names that they are told apart by."""
    rungs = list(dict.fromkeys(_named(rung) for report in reports.values() for rung in report.rungs))
    metrics = list(dict.fromkeys(m for r in reports.values() for m in (sensitive_metric(r.task), r.headline.metric)))
    binary = all(report.task == "binary" for report in reports.values())
    title = say("lab_compare_title")
    return render(
        "compare.html.j2",
        kicker="lab_compare",
        title=title,
        synthetic=any(report.synthetic for report in reports.values()),
        reports=reports,
        rungs=rungs,
        metrics=metrics,
        by_name=lambda report, name: next((rung for rung in report.rungs if _named(rung) == name), None),
        plot=Markup(compare_plot(reports)) if binary else "",
    )


def _named(rung: ReportRung) -> str:
    return f"{rung.name} / {rung.model}"


def fullest(run: Run) -> Rung:
    """The rung with most parties, of the first model."""
    own = [rung for rung in run.rungs if not rung.placebo and rung.model == run.rungs[0].model]
    return max(own, key=lambda rung: len(rung.parties))


def _means(done: list[tuple[Run, Rung]], axis: str, values: list[str]) -> list[dict[str, Any]]:
    lines = []
    for value in values:
        rungs = [rung for run, rung in done if run.settings.get(axis) == value]
        if rungs:
            uplifts = [rung.uplift["auc"].value for rung in rungs]
            shares = [share for rung in rungs for share in rung.information_share.values()]
            lines.append(
                {
                    "value": value,
                    "runs": len(rungs),
                    "auc": fmean(rung.metrics["auc"].value for rung in rungs),
                    "uplift": fmean(uplifts),
                    "spread": pstdev(uplifts),
                    "share": fmean(shares) if shares else 0.0,
                }
            )
    return lines


def render(template: str, **values: Any) -> str:
    """A template of this folder with its values, title and kicker among them."""
    style = files("bank_node.report.page").joinpath("report.css").read_text(encoding="utf-8")
    return _environment().get_template(template).render(style=Markup(style), **values)


@cache
def _environment() -> Environment:
    made = environment(__package__)
    made.globals |= {"signed": _signed}
    made.filters |= {
        "whole": lambda number: f"{number:,.15g}",
        "signed": lambda value, name: _signed(name, value),
    }
    return made


def _signed(name: str, value: float) -> str:
    if name == "money":
        return (f"{value:+,.{0 if abs(value) >= _WHOLE else 2}f}" if value else "0").replace("-", "−")
    return signed(name, value)
