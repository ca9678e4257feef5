"""Reliability: of customers who were given a probability, how many turned out bad? Before calibration, and after."""

from typing import Any

import numpy as np

from bank_node.metrics.calibration_fits import groups_of
from bank_node.metrics.intervals import wilson
from bank_node.metrics.scores import Scored
from bank_node.models.calibration import pd_of
from bank_node.record.messages import say
from bank_node.report.document import Report
from bank_node.report.plots.drawing import COLOURS, GREY, INK, SQUARE, picture
from protocol.messages import F64


def reliability_plots(report: Report, scored: Scored) -> dict[str, str]:
    """Of the full rung of the main model; none where it is not calibrated."""
    key = report.headline.rung, report.headline.model
    if key not in scored.calibrations:
        return {}
    score = scored.scores[key]
    pd = pd_of(scored.calibrations[key].chosen, score)
    top = max(_points(scored, score)[3].max(), _points(scored, pd)[3].max())
    return {
        "reliability_score": _reliability("score", scored, score, GREY, top, report.headline.rung),
        "reliability_pd": _reliability("pd", scored, pd, COLOURS[3], top, report.headline.rung),
    }


def _points(scored: Scored, pd: F64) -> tuple[F64, F64, F64, F64]:
    """Of each group: mean probability, bad rate, and the ends of its Wilson interval, each of shape (groups,)."""
    weight = np.ones(len(pd)) if scored.weight is None else scored.weight
    groups = groups_of(pd)
    total = np.bincount(groups, weight)
    kept = total > 0
    predicted = np.bincount(groups, weight * pd)[kept] / total[kept]
    rate = np.bincount(groups, weight * scored.label)[kept] / total[kept]
    # of weighted rows, as many as would tell as much (Kish 1965)
    effective = total[kept] ** 2 / np.bincount(groups, weight**2)[kept]
    return predicted, rate, *wilson(rate, effective)


def _reliability(name: str, scored: Scored, pd: F64, hue: str, top: float, rung: str) -> str:
    predicted, rate, low, high = _points(scored, pd)

    def draw(axis: Any) -> None:
        limit = 1.04 * max(top, float(predicted.max()))
        axis.plot([0, limit], [0, limit], color=INK, linewidth=0.9, linestyle=":")
        axis.vlines(predicted, low, high, color=hue, linewidth=1.6)
        axis.plot(predicted, rate, "o", color=hue, markersize=5)
        axis.set_xlim(0, limit)
        axis.set_ylim(0, limit)
        axis.set_xlabel("@axis_predicted@" if name == "score" else "@axis_pd@")
        axis.set_ylabel("@axis_observed@")

    return picture(f"reliability-{name}", SQUARE, say(f"figure_reliability_{name}", rung=rung), draw)
