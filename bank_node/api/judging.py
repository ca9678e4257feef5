"""How good predictions are, for a notebook: the report's figures of merit, on rows that have labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bank_node.api.listing import Listing
from bank_node.metrics.delong import delong
from bank_node.metrics.measures import measure_of, names_of, sensitive_metric, shown_metrics
from bank_node.metrics.ranking import ALERT_METRICS
from bank_node.metrics.scores import Scored
from bank_node.models.trees import TreeModel
from protocol.algorithms.parameters import OBJECTIVES, Task
from protocol.errors import UsageError
from protocol.messages import F64

_RATE: Final = 0.05
_TWO_SIDED_95: Final = 1.959963984540054


@dataclass(frozen=True)
class Judge:
    """What predictions of one kind are judged by. power: of the variance, for the deviance of a regression."""

    task: Task
    power: float = 0.0

    @classmethod
    def of(cls, model: TreeModel, tweedie_variance_power: float) -> "Judge":
        """By the objective that a model was trained for."""
        powers = {"count:poisson": 1.0, "reg:tweedie": tweedie_variance_power}
        return cls(OBJECTIVES[model.objective], powers.get(model.objective, 0.0))

    def figure(self, label: F64, score: F64, metric: str = "") -> float:
        """One figure of merit; the one that tells models apart best if none is named. Raises: UsageError: none such."""
        name = metric or sensitive_metric(self.task)
        rates = [_rate(name)] if self.task == "binary" and _rate(name) else []
        kind, _, _ = name.partition("@")
        key = f"{kind}@{rates[0]}" if rates else name
        if key not in names_of(self.task, rates):
            known = ", ".join(names_of(self.task, [_RATE]))
            raise UsageError("score", f"{metric!r} is no metric of this model", f"choose one of {known}")
        return self._all(label, score, rates)[key]

    def side_by_side(self, label: F64, scores: Mapping[str, F64]) -> Listing:
        """A row a score: its figures; of a 0/1 label its AUC over the first one's, with a 95% interval (DeLong)."""
        rows = []
        for k, (name, score) in enumerate(scores.items()):
            figures = self._all(label, score, [_RATE])
            rise: dict[str, Any] = {}
            if self.task == "binary":
                rise = _rise(label, next(iter(scores.values())), score) if k else dict.fromkeys(_RISE)
            shown = shown_metrics(self.task, f"precision@{_RATE}")
            rows.append({"parties": name, **{metric: figures[metric] for metric in shown}, **rise})
        return Listing(rows)

    def _all(self, label: F64, score: F64, rates: list[float]) -> dict[str, float]:
        key = "", ""
        labels: Any = label.astype(np.uint8) if self.task == "binary" else label
        scored = Scored(labels, None, {key: score}, {}, task=self.task, powers={key: self.power})
        found = measure_of(scored, key, rates)(np.ones((1, len(label))))
        return {name: float(value[0]) for name, value in found.items()}


_RISE: Final = ("auc uplift", "low", "high")


def _rise(label: F64, base: F64, score: F64) -> dict[str, Any]:
    """Of AUC over the base, with its interval."""
    (first, second), covariance = delong(label.astype(np.uint8), [base, score])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    rise, width = float(second - first), _TWO_SIDED_95 * float(np.sqrt(max(0.0, variance)))
    return dict(zip(_RISE, (rise, rise - width, rise + width), strict=True))


def _rate(metric: str) -> float:
    """The alert rate in a metric's name; 0 if there is none that is one."""
    kind, _, text = metric.partition("@")
    try:
        rate = float(text) if kind in ALERT_METRICS else 0.0
    except ValueError:
        return 0.0
    return rate if 0 < rate < 1 else 0.0
