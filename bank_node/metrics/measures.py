"""Which figures a run has, by what its label is, and how they are computed from its scores."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from bank_node.metrics.losses import MULTICLASS, REGRESSION, class_losses, evaluate_losses, regression_losses
from bank_node.metrics.ranking import Ranking, evaluate, metric_names
from bank_node.metrics.scores import Key, Scored
from protocol.algorithms.parameters import Task
from protocol.messages import F64

Measure = Callable[[F64], dict[str, F64]]
"""Every figure under B weightings of the rows, shape (B, n): shape (B,) by key."""

LOWER_IS_BETTER: Final = frozenset({"brier", "rmse", "mae", "deviance", "mlogloss"})
_PREFERRED_RATE: Final = 0.05
_SENSITIVE: Final[dict[Task, str]] = {"binary": "auc", "regression": "rmse", "multiclass": "mlogloss"}


def names_of(task: Task, alert_rates: Sequence[float]) -> list[str]:
    """All metric keys, in the order of the report."""
    if task == "binary":
        return metric_names(alert_rates)
    return list(REGRESSION if task == "regression" else MULTICLASS)


def sensitive_metric(task: Task) -> str:
    """The metric that tells two rungs apart best: of the placebo's verdict, and first in every table."""
    return _SENSITIVE[task]


def headline_metric(task: Task, alert_rates: Sequence[float]) -> str:
    """Precision at 5% where that is among the alert rates, or else at the middle one; without alerts, the sensitive."""
    if task != "binary":
        return sensitive_metric(task)
    rate = _PREFERRED_RATE if _PREFERRED_RATE in alert_rates else sorted(alert_rates)[len(alert_rates) // 2]
    return f"precision@{rate}"


def shown_metrics(task: Task, headline: str) -> list[str]:
    """The three or fewer that the picture of uplifts shows."""
    if task == "binary":
        return ["auc", "ks", headline]
    return names_of(task, ())


def measure_of(scored: Scored, key: Key, alert_rates: Sequence[float]) -> Measure:
    """The figures of one rung."""
    score = scored.scores[key]
    if scored.task == "binary":
        ranking, whole = Ranking.of(scored.label, score), scored.weight is None
        return lambda weights: evaluate(ranking, weights, alert_rates, whole)
    if scored.task == "regression":
        return partial(evaluate_losses, regression_losses(scored.label, score, scored.powers[key]))
    return partial(evaluate_losses, class_losses(scored.label, score))
