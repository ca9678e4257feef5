"""From a model's score to a probability of default: the map that a model folder keeps, and how it is read."""

from typing import Final, Literal

import msgspec
import numpy as np

from protocol.messages import F64

_EDGE: Final = 1e-12
"""Scores are kept so far from 0 and 1 before their log-odds are taken."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A map that never falls as the score grows.

    method: platt, a logistic curve over the score's log-odds; or isotonic, straight lines between knots, level beyond.
    rows, bads: of the validation part, on which it was fitted.
    slope, intercept: of platt. scores, pds: the knots of isotonic, ascending.
    """

    method: Literal["platt", "isotonic"]
    rows: int
    bads: int
    slope: float = 0.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    pds: tuple[float, ...] = ()


def pd_of(calibration: Calibration, score: F64) -> F64:
    """Probabilities of default, shape (n,), of scores between 0 and 1, shape (n,)."""
    if calibration.method == "isotonic":
        pd: F64 = np.interp(score, calibration.scores, calibration.pds)
        return pd
    return logistic(calibration.slope * log_odds(score) + calibration.intercept)


def log_odds(score: F64) -> F64:
    """Of a score between 0 and 1; finite at both ends."""
    inside = np.clip(score, _EDGE, 1 - _EDGE)
    odds: F64 = np.log(inside) - np.log1p(-inside)
    return odds


def logistic(z: F64) -> F64:
    """1 / (1 + exp(-z)), without overflow."""
    small = np.exp(-np.abs(z))
    out: F64 = np.where(z >= 0, 1.0, small) / (1.0 + small)
    return out
