"""Early stopping: the metric that is watched on the validation rows, and the tree after which it was best.

Names and meaning are XGBoost's `eval_metric`; `ks` is ours, the largest distance between the cumulative shares of
bads and goods. AUC and KS are maximised, everything else is minimised; of equal values the first counts.
"""

from dataclasses import dataclass, field
from math import lgamma
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.family.objective import Objective
from bank_node.metrics.ranking import Ranking, evaluate
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError
from protocol.messages import F64

RANKING: Final = ("auc", "ks")
"""Metrics of a ranking, which need rows of both classes, and are maximised."""
_LEAST: Final = 1e-16


@dataclass
class EarlyStopping:
    """Values of one metric, a round each. rows: judged on, shape (n,). patience: rounds without a better value.

    power: of the variance, for tweedie-nloglik.
    """

    metric: str
    objective: Objective
    rows: npt.NDArray[np.bool_]
    patience: int
    power: float = 1.5
    values: list[float] = field(default_factory=list)

    @classmethod
    def of_loss(cls, params: BoostingParams, objective: Objective, rows: npt.NDArray[np.bool_]) -> "EarlyStopping":
        """The objective's own loss, whatever early stopping goes by; it only keeps the values."""
        metric = params.model_copy(update={"eval_metric": None}).watched
        return cls(metric, objective, rows, 0, params.tweedie_variance_power)

    def require_rows(self, bank: str) -> None:
        """Raises: DataError: the rows do not admit the metric."""
        labels = self.objective.labels[self.rows & (self.objective.weights > 0)]
        if not labels.size:
            raise DataError(bank, "the validation rows have no weight", "give rows that count")
        if self.metric in RANKING and labels.min() == labels.max():
            raise DataError(bank, f"the validation part has not both classes, which {self.metric} needs", "enlarge it")

    def enough(self, margin: F64) -> bool:
        """Take in the margin after one more round; whether to stop."""
        self.values.append(self._value(margin))
        return len(self.values) - self.best >= self.patience

    @property
    def best(self) -> int:
        """After how many rounds the metric was best."""
        sign = -1.0 if self.metric in RANKING else 1.0
        return int(np.argmin(sign * np.array(self.values))) + 1

    def _value(self, margin: F64) -> float:
        weights = self.rows * self.objective.weights
        if self.metric == "logloss":
            return _log_loss(self.objective.labels, margin, weights)
        margin, weights, y = margin[self.rows], weights[self.rows], self.objective.labels[self.rows]
        if self.metric in RANKING:
            found = evaluate(Ranking.of(y.astype(np.uint8), margin), weights[None], (), whole=False)
            return float(found[self.metric][0])
        losses = _losses(self.metric, y, self.objective.predict(margin), self.power)
        mean = float((losses * weights).sum() / weights.sum())
        return mean**0.5 if self.metric == "rmse" else mean


def _log_loss(labels: F64, margin: F64, weights: F64) -> float:
    """Mean log loss of log-odds, weighted."""
    signed = np.where(labels > 0, margin, -margin)
    return float((np.logaddexp(0.0, -signed) * weights).sum() / weights.sum())


def _losses(metric: str, y: F64, prediction: F64, power: float) -> F64:
    """What each row adds to a metric, shape (n,)."""
    match metric:
        case "rmse":
            return (prediction - y) ** 2
        case "mae":
            return np.abs(prediction - y)
        case "poisson-nloglik":
            p = np.maximum(prediction, _LEAST)
            return np.array([lgamma(v + 1.0) for v in y]) + p - np.log(p) * y
        case "tweedie-nloglik":
            p = np.maximum(prediction, _LEAST)
            saved: F64 = p ** (2 - power) / (2 - power) - y * p ** (1 - power) / (1 - power)
            return saved
        case "mlogloss":
            mine = prediction[np.arange(len(y)), y.astype(np.int64)]
            lost: F64 = -np.log(np.maximum(mine, _LEAST))
            return lost
        case _:  # merror
            wrong: F64 = (prediction.argmax(axis=1) != y).astype(np.float64)
            return wrong
