"""The curves behind the pictures, thinned to what an eye can see."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bank_node.metrics.ranking import Ranking
from bank_node.metrics.scores import Key, Scored
from protocol.messages import F64

_POINTS = 201
_GROUPS = 10


@dataclass(frozen=True)
class Curve:
    """A rung's ranking by share of rows alerted, in steps of half a percent; each of shape (points,).

    alerted, bads, goods: cumulative shares of the weight, of the bads' and of the goods'.
    """

    alerted: F64
    bads: F64
    goods: F64

    @classmethod
    def of(cls, scored: Scored, key: Key) -> Self:
        """Within equal scores the curve is a straight line."""
        ranking = Ranking.of(scored.label, scored.scores[key])
        weight = (np.ones(len(scored.label)) if scored.weight is None else scored.weight)[ranking.order]
        total, bads = (np.append(0, np.cumsum(w)[ranking.ends]) for w in (weight, weight * ranking.bad))
        grid = np.linspace(0, 1, _POINTS)
        goods = total - bads
        found = (np.interp(grid, total / total[-1], part / part[-1]) for part in (bads, goods))
        return cls(grid, *found)


def calibration(scored: Scored, key: Key) -> tuple[F64, F64]:
    """Mean score and share of bads in ten groups of equal size by score, each of shape (groups,)."""
    score = scored.scores[key]
    groups = [group for group in np.array_split(np.argsort(score, kind="stable"), _GROUPS) if len(group)]
    weight = np.ones(len(score)) if scored.weight is None else scored.weight
    predicted = [np.average(score[group], weights=weight[group]) for group in groups]
    observed = [np.average(scored.label[group], weights=weight[group]) for group in groups]
    return np.array(predicted), np.array(observed)
