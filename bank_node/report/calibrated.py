"""How well probabilities fit: of the score as it stands, and of each map to a probability of default, on the test rows.

Maps are fitted on the validation rows alone (bank_node/metrics/calibration_fits.py), so that the test rows judge
all alike.
"""

from collections.abc import Sequence
from math import inf
from typing import Literal

import numpy as np

from bank_node.metrics.bootstrap import draws_of
from bank_node.metrics.calibration_fits import Calibrations, groups_of, log_losses, quality
from bank_node.metrics.intervals import Metric, from_draws
from bank_node.metrics.scores import Key, Scored
from bank_node.record.facts import Facts
from protocol.messages import F64

FIGURES = ("brier", "logloss", "ece")
MAPS = ("score", "platt", "isotonic")


class Calibrated(Facts):
    """The calibration of one rung.

    method: the map chosen. rows, bads: of the validation part. compared: by map, then by figure, on validation rows
    that the map was not fitted to. test: the same on the test rows.
    """

    method: Literal["platt", "isotonic"]
    rows: int
    bads: int
    compared: dict[str, dict[str, float]]
    test: dict[str, dict[str, Metric]]


def calibrated(scored: Scored, keys: Sequence[Key], resamples: int, seed: int) -> dict[Key, Calibrated]:
    """Of those rungs and models that could be calibrated."""
    return {
        key: _calibrated(scored, key, scored.calibrations[key], resamples, seed)
        for key in keys
        if key in scored.calibrations
    }


def _calibrated(scored: Scored, key: Key, fits: Calibrations, resamples: int, seed: int) -> Calibrated:
    label = scored.label.astype(np.float64)
    weight = np.ones(len(label)) if scored.weight is None else scored.weight
    pds = fits.pds(scored.scores[key])
    terms = {name: _terms(label, pd) for name, pd in pds.items()}
    draws: dict[str, list[F64]] = {name: [] for name in pds}
    for counts in draws_of(len(label), resamples, seed, scored.customer):
        weights = counts * weight
        for name, each in terms.items():
            draws[name].append(weights @ each / weights.sum(axis=1)[:, None])
    return Calibrated(
        method=fits.chosen.method,
        rows=fits.chosen.rows,
        bads=fits.chosen.bads,
        compared={name: {figure: fits.compared[name][figure] for figure in FIGURES} for name in MAPS},
        test={name: _metrics(quality(label, pds[name], weight), np.concatenate(draws[name])) for name in MAPS},
    )


def _terms(label: F64, pd: F64) -> F64:
    """What each row adds to the Brier score, to the log loss and to the gap of its group, shape (n, 2 + groups)."""
    groups = groups_of(pd)
    gaps = np.zeros((len(pd), int(groups.max()) + 1))
    gaps[np.arange(len(pd)), groups] = pd - label
    return np.column_stack(((pd - label) ** 2, log_losses(label, pd), gaps))


def _metrics(values: dict[str, float], draws: F64) -> dict[str, Metric]:
    """draws: means of the terms, shape (draws, 2 + groups)."""
    by_figure = {"brier": draws[:, 0], "logloss": draws[:, 1], "ece": np.abs(draws[:, 2:]).sum(axis=1)}
    return {name: _metric(name, values[name], by_figure[name]) for name in FIGURES}


def _metric(name: str, value: float, draws: F64) -> Metric:
    low, high, _, method = from_draws(name, value, draws)
    ceiling = inf if name == "logloss" else 1.0
    return Metric(value=value, low=max(0.0, min(low, value)), high=min(ceiling, max(high, value)), method=method)
