"""Figures of merit of predictions that rank nothing: numbers, and probabilities of several classes.

Every one is a weighted mean of what each row adds, so that a resample is a product with its weights.

| key | is |
|---|---|
| rmse | root of the mean of (score - label)^2 |
| mae | mean of the absolute difference |
| deviance | mean unit deviance of the Tweedie family at the model's variance power: 0 squared error, 1 Poisson |
| mlogloss | mean of -ln of the probability that the row's own class was given, at least 1e-16 |
| accuracy | share of rows whose own class was given the largest probability, the first of equal ones |
"""

from typing import Final

import numpy as np

from protocol.messages import F64

REGRESSION: Final = ("rmse", "mae", "deviance")
MULTICLASS: Final = ("mlogloss", "accuracy")
_LEAST: Final = 1e-16


def regression_losses(label: F64, score: F64, power: float) -> dict[str, F64]:
    """What each row adds, shape (n,), by key; rmse before the root."""
    squared = (score - label) ** 2
    return {"rmse": squared, "mae": np.abs(score - label), "deviance": unit_deviance(label, score, power)}


def class_losses(label: F64, score: F64) -> dict[str, F64]:
    """What each row adds, shape (n,), by key. score: probability of each class, shape (n, K)."""
    own = score[np.arange(len(label)), label.astype(np.int64)]
    return {
        "mlogloss": -np.log(np.maximum(own, _LEAST)),
        "accuracy": (score.argmax(axis=1) == label).astype(np.float64),
    }


def unit_deviance(y: F64, mu: F64, power: float) -> F64:
    """Of each row, shape (n,). Source: Jorgensen, The Theory of Dispersion Models, 1997, ch. 4."""
    if power == 0:
        return (y - mu) ** 2
    if power == 1:
        logs = np.log(np.where(y > 0, y / mu, 1.0))
        poisson: F64 = 2 * (y * logs - y + mu)
        return poisson
    whole = y ** (2 - power) / ((1 - power) * (2 - power))
    tweedie: F64 = 2 * (whole - y * mu ** (1 - power) / (1 - power) + mu ** (2 - power) / (2 - power))
    return tweedie


def evaluate_losses(losses: dict[str, F64], weights: F64) -> dict[str, F64]:
    """Every figure under B weightings of the rows, shape (B, n); result: shape (B,) by key."""
    total = weights.sum(axis=1)
    means = {name: weights @ each / total for name, each in losses.items()}
    return means | ({"rmse": np.sqrt(means["rmse"])} if "rmse" in means else {})
