"""Which rows are alerted at an alert rate."""

import numpy as np
import numpy.typing as npt

from bank_node.metrics.ranking import Ranking, alerts
from bank_node.metrics.scores import Scored

_ROUNDING = 1e-9


def alerted_rows(scored: Scored, score: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    """Which rows are alerted, shape (n,). With declared weights: the whole rows that fit into that share of it."""
    order = Ranking.of(scored.label, score).order
    mask = np.zeros(len(order), dtype=bool)
    if scored.weight is None:
        mask[order[: alerts(rate, len(order))]] = True
    else:
        weight = np.cumsum(scored.weight[order])
        mask[order[weight <= rate * weight[-1] * (1 + _ROUNDING)]] = True
    return mask
