"""Early stopping: the metric that is watched on the validation rows, and the tree after which it was best.

Names and meaning are XGBoost's `eval_metric`; `ks` is ours, the largest distance between the cumulative shares of
bads and goods. AUC and KS are maximised, everything else is minimised; of equal values the first counts.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.algorithms.objective import Logistic
from bank_node.evaluation.metrics import Ranking, evaluate
from protocol.errors import DataError
from protocol.messages import F64

RANKING: Final = ("auc", "ks")
"""Metrics of a ranking, which need rows of both classes, and are maximised."""


@dataclass
class Watch:
    """Values of one metric, a tree each. rows: judged on, shape (n,). patience: trees without a better value."""

    metric: str
    objective: Logistic
    rows: npt.NDArray[np.bool_]
    patience: int
    values: list[float] = field(default_factory=list)

    def require_rows(self, bank: str) -> None:
        """Raises: DataError: the rows do not admit the metric."""
        labels = self.objective.labels[self.rows & (self.objective.weights > 0)]
        if not labels.size:
            raise DataError(bank, "the validation rows have no weight", "give rows that count")
        if self.metric in RANKING and labels.min() == labels.max():
            raise DataError(bank, f"the validation part has not both classes, which {self.metric} needs", "enlarge it")

    def enough(self, margin: F64) -> bool:
        """Take in the margin after one more tree; whether to stop."""
        self.values.append(self._value(margin))
        return len(self.values) - self.best >= self.patience

    @property
    def best(self) -> int:
        """After how many trees the metric was best."""
        sign = -1.0 if self.metric in RANKING else 1.0
        return int(np.argmin(sign * np.array(self.values))) + 1

    def _value(self, margin: F64) -> float:
        weights = self.rows * self.objective.weights
        if self.metric not in RANKING:
            return self.objective.loss(margin, weights)
        ranking = Ranking.of(self.objective.labels[self.rows].astype(np.uint8), margin[self.rows])
        return float(evaluate(ranking, weights[None, self.rows], (), whole=False)[self.metric][0])
