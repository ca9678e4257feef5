"""Pictures of the laboratory's pages."""

from statistics import fmean
from typing import Any

from bank_node.record.messages import say
from bank_node.report.document import Report, Rung
from bank_node.report.plots.drawing import COLOURS, GREY, INK, WIDE, lines_of, picture, tick
from experiments.studies.sweep.document import SweepResult
from experiments.studies.sweep.point import Point
from experiments.studies.value.document import Value

_A_ROW = 3
_LETTERS = 36
_MOST_RUNS = 4


def multiples(result: SweepResult) -> str:
    """One panel an axis: every run's uplift of AUC by the axis's value, and the means."""
    axes = {name: values for name, values in result.axes.items() if len(values) > 1} or result.axes
    columns = min(_A_ROW, len(axes))
    rows = -(-len(axes) // columns)

    def draw(panels: Any) -> None:
        flat = list(panels.flat) if hasattr(panels, "flat") else [panels]
        for panel, (name, values) in zip(flat, axes.items(), strict=False):
            _panel(panel, result, name, values)
        for panel in flat[len(axes) :]:
            panel.set_visible(False)
        for panel in flat[:: columns or 1]:
            panel.set_ylabel("@lab_axis_uplift@")

    return picture("multiples", (WIDE, 2.7 * rows + 0.3), say("lab_multiples"), draw, rows=rows, columns=columns)


def _panel(panel: Any, result: SweepResult, name: str, values: list[str]) -> None:
    for place, value in enumerate(values):
        runs = [run for run in result.runs if run.rungs and run.settings.get(name) == value]
        uplifts = [max(run.rungs, key=lambda r: (not r.placebo, len(r.parties))).uplift["auc"].value for run in runs]
        aside = [place + 0.3 * ((k + 0.5) / max(1, len(uplifts)) - 0.5) for k in range(len(uplifts))]
        panel.plot(aside, uplifts, "o", color=COLOURS[3], markersize=4, alpha=0.55, markeredgewidth=0)
        if uplifts:
            panel.plot([place - 0.25, place + 0.25], [fmean(uplifts)] * 2, color=COLOURS[1], linewidth=2.4)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.set_xticks(
        range(len(values)), [_short(v) for v in values], rotation=60 if sum(map(len, values)) > _LETTERS else 0
    )
    panel.grid(axis="x", visible=False)
    panel.set_xlim(-0.6, len(values) - 0.4)
    panel.set_title(name, fontsize=9, loc="left", color=INK)


def frontier_plot(knobs: dict[str, list[Point]]) -> str:
    """One line a knob; each point with its interval."""

    def draw(axis: Any) -> None:
        for colour, (knob, points) in zip(COLOURS, knobs.items(), strict=False):
            ordered = sorted(points, key=lambda p: p.information_share)
            x, y = [p.information_share for p in ordered], [p.uplift for p in ordered]
            axis.vlines(x, [p.low for p in ordered], [p.high for p in ordered], color=colour, linewidth=0.8, alpha=0.35)
            axis.plot(x, y, "o-", color=colour, markersize=4, linewidth=1.3, label=knob)
            for p in points:
                place = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7}
                axis.annotate(_short(p.value), (p.information_share, p.uplift), color=colour, **place)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.set_xlim(left=-0.01)
        axis.set_xlabel("@lab_axis_share@")
        axis.set_ylabel("@lab_axis_uplift@")
        axis.legend(fontsize=8, loc="lower right", ncols=2)

    return picture("frontier", (WIDE, 5.2), say("lab_figure_frontier"), draw)


def shapley_plot(value: Value) -> str:
    """A bar a partner: its Shapley value of AUC with the interval; what it adds alone and last as marks."""

    def draw(axis: Any) -> None:
        for y, own in enumerate(value.partners.values()):
            change = own.shapley["auc"]
            axis.barh(y, change.value, color=COLOURS[3], height=0.5)
            axis.plot([change.low, change.high], [y, y], color=INK, linewidth=2)
            for marks, label, symbol in ((own.alone, "@lab_alone@", ">"), (own.last, "@lab_last@", "<")):
                if marks:
                    first = {"label": label} if y == 0 else {}
                    axis.plot(marks["auc"].value, y, symbol, color=COLOURS[1], markersize=6, **first)
        axis.axvline(0, color=GREY, linewidth=0.8)
        lines_of(axis, list(value.partners))
        axis.set_xlabel("@lab_axis_uplift@")
        axis.legend(fontsize=8, loc="lower right")

    return picture("shapley", (WIDE, 1.2 + 0.5 * len(value.partners)), say("lab_figure_shapley"), draw)


def compare_plot(reports: dict[str, Report]) -> str:
    """A panel a run, all on one scale: the uplift of AUC of every rung of its first model, with intervals."""
    names = list(reports)[:_MOST_RUNS]
    rungs = list(dict.fromkeys(r.name for name in names for r in _shown(reports[name])))

    def draw(panels: Any) -> None:
        flat = list(panels.flat) if hasattr(panels, "flat") else [panels]
        for panel, name in zip(flat, names, strict=True):
            for rung in _shown(reports[name]):
                change, y = rung.uplift["auc"], len(rungs) - 1 - rungs.index(rung.name)
                hue = GREY if rung.placebo else COLOURS[3]
                panel.plot([change.low, change.high], [y, y], color=hue, linewidth=2.2)
                panel.plot(
                    change.value, y, "s", color=hue, markersize=6, markerfacecolor=None if change.shown else "white"
                )
            panel.axvline(0, color=INK, linewidth=0.8)
            panel.set_yticks(range(len(rungs)), [tick(r) for r in reversed(rungs)])
            panel.set_ylim(-0.6, len(rungs) - 0.4)
            panel.set_title(tick(name), fontsize=9, loc="left", color=INK)
            panel.set_xlabel("@lab_axis_uplift@")
        for panel in flat[1:]:
            panel.sharex(flat[0])
        flat[0].autoscale(axis="x")

    height = 1.2 + 0.4 * len(rungs)
    return picture("compare", (WIDE, height), say("lab_figure_compare"), draw, columns=len(names))


def _shown(report: Report) -> list[Rung]:
    return [r for r in report.rungs if r.model == report.headline.model and r.name != report.headline.base]


def _short(text: str) -> str:
    return text if len(text) <= 12 else f"{text[:11]}…"
