"""How good a ranking is, for a notebook: the report's figures of merit, on rows that have labels."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from bank_node.api.listing import Listing
from bank_node.evaluation.delong import delong
from bank_node.evaluation.metrics import ALERT_METRICS, CURVE_METRICS, Ranking, evaluate
from protocol.errors import UsageError
from protocol.messages import F64

SHOWN: Final = ("auc", "ks", "precision@0.05")
_TWO_SIDED_95: Final = 1.959963984540054


def figure(label: F64, score: F64, metric: str) -> float:
    """One figure of merit. Raises: UsageError: no such metric."""
    kind, _, rate = metric.partition("@")
    try:
        rates = [float(rate)] if kind in ALERT_METRICS else []
    except ValueError:
        rates = []
    if metric not in CURVE_METRICS and not (rates and 0 < rates[0] < 1):
        known = ", ".join((*CURVE_METRICS, *(f"{name}@0.05" for name in ALERT_METRICS)))
        raise UsageError("score", f"{metric!r} is no metric", f"choose one of {known}")
    ranking = Ranking.of(label.astype(np.uint8), score)
    found = evaluate(ranking, np.ones((1, len(label))), rates, whole=True)
    return float(found[metric if not rates else f"{kind}@{rates[0]}"][0])


def side_by_side(label: F64, scores: Mapping[str, F64]) -> Listing:
    """A row a score: its figures, and its AUC over the first one's with a 95% interval (DeLong)."""
    aucs, covariance = delong(label.astype(np.uint8), list(scores.values()))
    rows = []
    for k, (name, score) in enumerate(scores.items()):
        variance = covariance[0, 0] + covariance[k, k] - 2 * covariance[0, k]
        rise, width = float(aucs[k] - aucs[0]), _TWO_SIDED_95 * float(np.sqrt(max(0.0, variance)))
        over_first = (rise, rise - width, rise + width) if k else (None, None, None)
        told = dict(zip(("auc uplift", "low", "high"), over_first, strict=True))
        rows.append({"parties": name, **{metric: figure(label, score, metric) for metric in SHOWN}, **told})
    return Listing(rows)
