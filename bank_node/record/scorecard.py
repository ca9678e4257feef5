"""A scorecard as people read it: points by characteristic and attribute, and the scale behind them.

Points fall as risk rises: goods are to bads as base_odds at base_score, and pdo points double these odds. Each of n
characteristics carries an n-th of the intercept, so that a customer's points are the plain sum over characteristics.

Source: Siddiqi, Credit Risk Scorecards (2006), ch. 6.
"""

from math import log

import numpy as np
from pydantic import BaseModel, ConfigDict

from protocol.messages import F64


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scale(_Part):
    """What a margin is in points. decimals: to which points are rounded."""

    base_score: float
    pdo: float
    base_odds: float
    decimals: int

    @property
    def factor(self) -> float:
        """Points for odds e times as good."""
        return self.pdo / log(2)

    @property
    def offset(self) -> float:
        """Points of odds 1 : 1."""
        return self.base_score - self.factor * log(self.base_odds)

    def points(self, margin: F64) -> F64:
        """Of log-odds of being bad, rounded."""
        return np.round(self.offset - self.factor * margin, self.decimals) + 0.0


class Attribute(_Part):
    """One bin of a characteristic. rows, bads: of the training part. woe: as the model has it, to thousandths."""

    name: str
    rows: int
    bads: int
    bad_rate: float
    woe: float
    points: float


class Characteristic(_Part):
    """One column. coefficient: of its WOE. iv: information value of its bins.

    sign: whether points rise with WOE, as they must. monotone: whether along its ordered bins points only rise, or only
    fall; None without an order.
    """

    party: str
    name: str
    coefficient: float
    iv: float
    sign: bool
    monotone: bool | None
    attributes: tuple[Attribute, ...]


class Scorecard(_Part):
    """All characteristics, the bank's first. rounding: the most that a customer's points are off by their rounding.

    least, most: points that a customer can have. A value that no bin of the training had gets `unseen` points.
    """

    scale: Scale
    rounding: float
    least: float
    most: float
    unseen: float
    characteristics: tuple[Characteristic, ...]
