"""Figures of merit of a ranking, as functions of row weights.

A sample is sorted once; then every metric is a few cumulative sums over a weight matrix of shape (B, n), one
line a resample. The point estimate is the line of ones (or of the declared weights), so that there is only one
implementation to be right. Equal scores are one step of the curve: AUC, KS and average precision do not depend
on the order within a tie; the alert metrics do, and take the rows as given (scores.py fixes their order).

| key | is |
|---|---|
| auc | share of (bad, good) pairs with the bad scored higher, ties counted half |
| ks | largest absolute distance between the cumulative shares of bads and of goods |
| gini | 2 auc - 1 |
| pr_auc | average precision: sum over steps of the rise in recall times precision there |
| brier | mean of (score - label)^2 |
| precision@r | share of bads among the alerts, when the r·n highest scores are alerted |
| recall@r | share of all bads that are among these alerts |
| lift@r | precision@r over the share of bads in the sample |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Self

import numpy as np

from protocol.messages import F64, I64, U8

CURVE_METRICS = ("auc", "ks", "gini", "pr_auc", "brier")
ALERT_METRICS = ("precision", "recall", "lift")
_ROUNDING = 1e-9


def metric_names(alert_rates: Sequence[float]) -> list[str]:
    """All metric keys, in the order of the report."""
    return [*CURVE_METRICS, *(f"{kind}@{rate}" for rate in alert_rates for kind in ALERT_METRICS)]


def alerts(rate: float, rows: int) -> int:
    """How many of `rows` are alerted: the whole part of rate·rows, and at least 1."""
    return max(1, floor(rate * rows + _ROUNDING))


@dataclass(frozen=True)
class Ranking:
    """A sample in descending order of score.

    order: row of the sample at each rank, shape (n,). ends: last rank of each run of equal scores.
    bad: label at each rank, float64, shape (n,). error: (score - label)^2 at each rank, shape (n,).
    """

    order: I64
    ends: I64
    bad: F64
    error: F64

    @classmethod
    def of(cls, label: U8, score: F64) -> Self:
        """Sort a sample; equal scores stay in the order given."""
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        bad = label[order].astype(np.float64)
        return cls(order, ends, bad, (ranked - bad) ** 2)


def evaluate(ranking: Ranking, weights: F64, alert_rates: Sequence[float], whole: bool) -> dict[str, F64]:
    """Every metric under B weightings of the sample's rows.

    Args:
        weights: shape (B, n), in the order of the sample. whole: weights count rows, hence alerts are whole rows;
            otherwise the row at the alert limit counts with the part of its weight that fits.
    Returns: shape (B,) by key. A weighting with one class only gives NaN.
    """
    ranked = weights[:, ranking.order]
    total = np.cumsum(ranked, axis=1)
    bads = np.cumsum(ranked * ranking.bad, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = _curve_metrics(_at(total, ranking.ends), _at(bads, ranking.ends))
        found["brier"] = ranked @ ranking.error / total[:, -1]
        for rate in alert_rates:
            found |= _alert_metrics(ranking, total, bads, rate, whole)
    defined = (bads[:, -1] > 0) & (bads[:, -1] < total[:, -1])
    return {name: np.where(defined, found[name], np.nan) for name in metric_names(alert_rates)}


def _at(sums: F64, ends: I64) -> F64:
    """Cumulative sums at the ends of ties; without ties these are all."""
    return sums if len(ends) == sums.shape[1] else sums[:, ends]


def _curve_metrics(total: F64, bads: F64) -> dict[str, F64]:
    """Metrics of the whole curve, from cumulative weights at its steps, shape (B, steps)."""
    goods = total - bads
    all_bads, all_goods = bads[:, -1], goods[:, -1]
    new_bads = np.diff(bads, axis=1, prepend=0.0)
    new_goods = np.diff(goods, axis=1, prepend=0.0)
    auc = np.einsum("bs,bs->b", new_goods, bads - new_bads / 2) / (all_bads * all_goods)
    distance = bads / all_bads[:, None] - goods / all_goods[:, None]
    precision = np.divide(bads, total, out=np.zeros_like(bads), where=total > 0)
    return {
        "auc": auc,
        "ks": np.abs(distance).max(axis=1),
        "gini": 2 * auc - 1,
        "pr_auc": np.einsum("bs,bs->b", new_bads, precision) / all_bads,
    }


def _alert_metrics(ranking: Ranking, total: F64, bads: F64, rate: float, whole: bool) -> dict[str, F64]:
    """Precision, recall and lift with the highest scores alerted up to a share `rate` of the weight."""
    caught, limit = np.empty(len(total)), np.empty(len(total))
    for b, line in enumerate(total):
        limit[b] = alerts(rate, round(line[-1])) if whole else rate * line[-1]
        last = min(int(np.searchsorted(line, limit[b])), len(line) - 1)
        caught[b] = bads[b, last] - ranking.bad[last] * (line[last] - limit[b])
    precision = caught / limit
    recall = caught / bads[:, -1]
    return {
        f"precision@{rate}": precision,
        f"recall@{rate}": recall,
        f"lift@{rate}": precision * total[:, -1] / bads[:, -1],
    }
