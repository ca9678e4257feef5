"""Pictures of how well the rungs rank: uplift, ROC, KS, gain, lift, calibration and scores."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from bank_node.metrics.curves import Curve, calibration
from bank_node.metrics.intervals import Uplift
from bank_node.metrics.measures import shown_metrics
from bank_node.metrics.scores import Key, Scored
from bank_node.record.messages import say
from bank_node.report.document import Report, Rung
from bank_node.report.plots.drawing import BAD, GOOD, GREY, INK, SQUARE, WIDE, beside, colours, picture
from bank_node.report.wording import signed


def quality_plots(report: Report, scored: Scored) -> dict[str, str]:
    """By name; all of the main model, some of its full rung alone."""
    rungs = [rung for rung in report.rungs if rung.model == report.headline.model]
    full = next(rung for rung in rungs if rung.name == report.headline.rung)
    forests = {"forest": _forest(report, rungs, narrow=False), "forest_narrow": _forest(report, rungs, narrow=True)}
    if report.task != "binary":
        return forests | ({"prediction": _prediction(scored, rungs)} if report.task == "regression" else {})
    curves = [(rung, Curve.of(scored, _key(rung))) for rung in rungs]
    return {
        **forests,
        "roc": _roc(curves),
        "ks": _ks(full, Curve.of(scored, _key(full))),
        "gain": _gain(curves),
        "lift": _lift(curves),
        "calibration": _calibration(scored, rungs),
        "scores": _scores(scored, full),
    }


def _key(rung: Rung) -> Key:
    return rung.name, rung.model


def _forest(report: Report, rungs: Sequence[Rung], narrow: bool) -> str:
    """One panel a metric, one line a rung: the uplift and its interval, against the line at 0.

    A square is hollow where the interval covers 0. narrow: panels below one another, for small screens.
    """
    base = report.headline.base
    shown = [rung for rung in reversed(rungs) if rung.name != base] or list(rungs)
    names = shown_metrics(report.task, report.headline.metric)
    hues = colours(rungs)

    def draw(axes: Any) -> None:
        for axis, name in zip(axes, names, strict=True):
            for y, rung in enumerate(shown):
                _interval(axis, y, name, rung.uplift[name], hues[rung.name])
            axis.axvline(0, color=INK, linewidth=1, zorder=1)
            axis.set_ylim(-0.6, len(shown) - 0.3)
            axis.set_yticks(range(len(shown)), [beside(rung.name) for rung in shown], fontsize=10)
            axis.xaxis.set_major_locator(MaxNLocator(4))
            axis.grid(axis="y", visible=False)
            axis.spines["left"].set_visible(False)
            axis.margins(x=0.14)
            axis.set_title(_forest_title(name), fontsize=10, color=INK, loc="left")
        axes[-1].set_xlabel("@axis_points@" if report.task == "binary" else "@axis_change@")

    height = 1.15 + 0.52 * len(shown)
    if narrow:
        size = SQUARE[0], len(names) * height
        return picture("forest-narrow", size, say("figure_forest", base=base), draw, rows=len(names))
    return picture("forest", (WIDE, height), say("figure_forest", base=base), draw, columns=len(names))


def _interval(axis: Any, y: float, name: str, change: Uplift, hue: str) -> None:
    scale = 100.0 if "@" in name or name == "accuracy" else 1.0
    low, value, high = (scale * v for v in (change.low, change.value, change.high))
    axis.plot([low, high], [y, y], color=hue, linewidth=2.4, solid_capstyle="butt", zorder=2)
    axis.plot(value, y, "s", color=hue, markersize=7, markerfacecolor=None if change.shown else "white", zorder=3)
    label = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    place = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center"}
    axis.annotate(signed(name, change.value), (value, y), color=INK, bbox=label, zorder=2, **place)


def _forest_title(name: str) -> str:
    kind, _, rate = name.partition("@")
    return f"@metric_{kind}@" if not rate else f"@short_{kind}@ {100 * float(rate):.6g}%"


def _roc(curves: Sequence[tuple[Rung, Curve]]) -> str:
    def draw(axis: Any) -> None:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
        _lines(axis, curves, lambda curve: (curve.goods, curve.bads))
        axis.set_xlabel("@axis_goods_alerted@")
        axis.set_ylabel("@axis_bads_found@")

    return picture("roc", SQUARE, say("figure_roc"), draw)


def _gain(curves: Sequence[tuple[Rung, Curve]]) -> str:
    def draw(axis: Any) -> None:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
        _lines(axis, curves, lambda curve: (curve.alerted, curve.bads))
        axis.set_xlabel("@axis_alerted@")
        axis.set_ylabel("@axis_bads_found@")

    return picture("gain", SQUARE, say("figure_gain"), draw)


def _lift(curves: Sequence[tuple[Rung, Curve]]) -> str:
    def draw(axis: Any) -> None:
        axis.axhline(1, color=GREY, linewidth=0.9, linestyle=":")
        _lines(axis, curves, lambda curve: (curve.alerted[2:], curve.bads[2:] / curve.alerted[2:]))
        axis.set_xlabel("@axis_alerted@")
        axis.set_ylabel("@axis_lift@")

    return picture("lift", SQUARE, say("figure_lift"), draw)


def _lines(axis: Any, curves: Sequence[tuple[Rung, Curve]], points: Callable[[Curve], tuple[Any, Any]]) -> None:
    hues = colours([rung for rung, _ in curves])
    for rung, curve in curves:
        axis.plot(
            *points(curve), color=hues[rung.name], linestyle="--" if rung.placebo else "-", label=beside(rung.name)
        )
    axis.legend(fontsize=8)


def _ks(rung: Rung, curve: Curve) -> str:
    def draw(axis: Any) -> None:
        at = int(np.argmax(np.abs(curve.bads - curve.goods)))
        axis.plot(curve.alerted, curve.bads, color=BAD, label="@bads@")
        axis.plot(curve.alerted, curve.goods, color=GOOD, label="@goods@")
        axis.plot([curve.alerted[at]] * 2, [curve.goods[at], curve.bads[at]], color=INK, linewidth=1.2)
        middle = (curve.goods[at] + curve.bads[at]) / 2
        axis.annotate(
            f"KS {rung.metrics['ks'].value:.3f}",
            (curve.alerted[at], middle),
            (6, 0),
            textcoords="offset points",
            va="center",
        )
        axis.set_xlabel("@axis_alerted@")
        axis.set_ylabel("@axis_cumulative@")
        axis.legend(fontsize=8, loc="lower right")

    return picture("ks", SQUARE, say("figure_ks", rung=rung.name), draw)


def _prediction(scored: Scored, rungs: Sequence[Rung]) -> str:
    """As the calibration, of numbers."""

    def draw(axis: Any) -> None:
        hues, ends = colours(rungs), []
        for rung in rungs:
            predicted, observed = calibration(scored, _key(rung))
            line = "--" if rung.placebo else "-"
            axis.plot(predicted, observed, marker="o", markersize=3.5, linestyle=line, linewidth=1.1,
                      color=hues[rung.name], label=beside(rung.name))  # fmt: skip
            ends += [float(predicted.min()), float(predicted.max())]
        axis.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, linewidth=0.9, linestyle=":")
        axis.set_xlabel("@axis_mean_predicted@")
        axis.set_ylabel("@axis_mean_observed@")
        axis.legend(fontsize=8)

    return picture("prediction", SQUARE, say("figure_prediction"), draw)


def _calibration(scored: Scored, rungs: Sequence[Rung]) -> str:
    def draw(axis: Any) -> None:
        hues, top = colours(rungs), 0.0
        for rung in rungs:
            predicted, observed = calibration(scored, _key(rung))
            line = "--" if rung.placebo else "-"
            axis.plot(
                predicted,
                observed,
                marker="o",
                markersize=3.5,
                linestyle=line,
                linewidth=1.1,
                color=hues[rung.name],
                label=beside(rung.name),
            )
            top = max(top, float(predicted.max()), float(observed.max()))
        axis.plot([0, top], [0, top], color=GREY, linewidth=0.9, linestyle=":")
        axis.set_xlabel("@axis_predicted@")
        axis.set_ylabel("@axis_observed@")
        axis.legend(fontsize=8)

    return picture("calibration", SQUARE, say("figure_calibration"), draw)


def _scores(scored: Scored, rung: Rung) -> str:
    def draw(axis: Any) -> None:
        score = scored.scores[_key(rung)]
        edges = np.linspace(0, float(np.quantile(score, 0.999)) or 1.0, 41)
        for value, hue, label in ((0, GOOD, "@goods@"), (1, BAD, "@bads@")):
            axis.hist(
                score[scored.label == value],
                bins=edges,
                density=True,
                histtype="stepfilled",
                alpha=0.35,
                color=hue,
                edgecolor=hue,
                label=label,
            )
        axis.set_xlabel("@axis_predicted@")
        axis.set_ylabel("@axis_density@")
        axis.legend(fontsize=8)

    return picture("scores", SQUARE, say("figure_scores", rung=rung.name), draw)
