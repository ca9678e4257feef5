"""Pictures of customers watched month by month: capture, AUC and stability by month, and the lead before a default."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bank_node.record.messages import say
from bank_node.report.document import Report
from bank_node.report.early_warning.build import Month, WatchedReport, WatchedRung
from bank_node.report.plots.drawing import GREY, SQUARE, colours, named, picture

_MOVED, _MUCH = 0.1, 0.25
"""Stability indices from which a distribution has moved, and has moved much (Siddiqi 2006)."""


def plots_of_time(report: Report) -> dict[str, str]:
    """By name, of the main model; none where the job does not watch."""
    watch = report.early_warning
    if watch is None:
        return {}
    rungs = [rung for rung in watch.rungs if rung.model == report.headline.model]
    hues = colours([rung for rung in report.rungs if rung.model == report.headline.model])
    found = {
        "watch_capture": _by_month("watch-capture", rungs, hues, lambda m: m.caught / m.bads if m.bads else None),
        "watch_auc": _by_month("watch-auc", rungs, hues, lambda m: m.auc),
        "watch_stability": _by_month("watch-stability", rungs, hues, lambda m: m.stability, limits=(_MOVED, _MUCH)),
    }
    if watch.defaulted:
        found["watch_lead"] = _lead(report, watch, rungs, hues)
    return found


def _by_month(
    name: str, rungs: Sequence[WatchedRung], hues: dict[str, str], value: Callable[[Month], float | None],
    limits: Sequence[float] = (),
) -> str:  # fmt: skip
    """A line a rung. limits: levels to be drawn across."""
    months = [month.month for month in rungs[0].months]
    places = sorted(set(np.linspace(0, len(months) - 1, 5).round().astype(int).tolist()))

    def draw(axis: Any) -> None:
        for rung in rungs:
            values = [value(month) for month in rung.months]
            heights = [np.nan if v is None else v for v in values]
            axis.plot(range(len(months)), heights, "o-", color=hues[rung.name], markersize=3, label=named(rung.name))
        for limit in limits:
            axis.axhline(limit, color=GREY, linewidth=0.9, linestyle=":")
        axis.set_xticks(places, [months[place] for place in places], fontsize=8)
        axis.set_ylim(bottom=0 if limits else None)
        axis.legend(fontsize=8)

    return picture(name, SQUARE, say(f"figure_{name.replace('-', '_')}"), draw)


def _lead(report: Report, watch: WatchedReport, rungs: Sequence[WatchedRung], hues: dict[str, str]) -> str:
    """Customers by months from the first alert to the default; the last bar is of those never alerted."""
    base, full = report.headline.base, report.headline.rung
    shown = [rung for rung in rungs if rung.name in (base, full)]
    months = watch.settings.performance
    names = [*(str(month) for month in range(months)), f"≥{months}", "@watch_never@"]
    places = np.array([*range(months + 1), months + 2])  # "never" stands apart: it is no number of months

    def draw(axis: Any) -> None:
        width = 0.8 / len(shown)
        for place, rung in enumerate(shown):
            bars = [*rung.lead_histogram, rung.never]
            axis.bar(places + place * width, bars, width, color=hues[rung.name], label=named(rung.name))
        wanted = [*range(0, months, max(1, months // 6)), months, months + 1]
        axis.set_xticks([places[k] + 0.4 - width / 2 for k in wanted], [names[k] for k in wanted], fontsize=8)
        axis.set_xlabel("@axis_lead@")
        axis.set_ylabel("@watch_customers@")
        axis.legend(fontsize=8)

    return picture("watch-lead", SQUARE, say("figure_watch_lead", base=base, rung=full), draw)
