"""A small search for parameters of a refit: successive halving, at the bank alone.

Every candidate is fitted on a quarter of the training rows; the better half goes on to half of the
rows, and the better half of these to all. Candidates are judged by the loss on the validation part,
or, without one, on five folds of the training rows. The loss of the winner is optimistic, since it is
the best of many.

Source: Jamieson and Talwalkar, AISTATS 2016 (successive halving).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bank_node.family.model_family import Trial
from bank_node.trees.boosting import refit
from bank_node.trees.early_stopping import EarlyStopping
from bank_node.trees.task import Task
from protocol.algorithms.boosting import Kept, Split
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw

Bools = npt.NDArray[np.bool_]

CANDIDATES: Final = 16
FOLDS: Final = 5
SHARES: Final = (0.25, 0.5, 1.0)
"""Of the training rows, by step; at each step but the last, half of the candidates go on."""

CHOICES: Final[Mapping[str, Sequence[Any]]] = {
    "n_estimators": (100, 200, 300, 500),
    "learning_rate": (0.03, 0.05, 0.07, 0.1, 0.2),
    "max_depth": (2, 3, 4, 5),
    "reg_lambda": (1.0, 5.0, 20.0),
    "colsample_bytree": (0.5, 0.8, 1.0),
    "min_child_weight": (1.0, 5.0, 20.0),
}


def candidates(params: BoostingParams, fixed: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """What is tried: the parameters as they are, and others drawn by chance. fixed: keeps its values in all."""
    free = [name for name in CHOICES if name not in fixed]
    generator = draw(seed, "search", 0)
    found: list[dict[str, Any]] = [{}]
    while free and len(found) < CANDIDATES:
        changes = {name: CHOICES[name][int(generator.integers(len(CHOICES[name])))] for name in free}
        if changes not in found:
            found.append(changes)
    return found


def search(
    task: Task, pools: Mapping[str, tuple[Split, ...]], kept: Mapping[str, Kept], tried: Sequence[Mapping[str, Any]],
    told: Callable[[int, int], None],
) -> list[Trial]:  # fmt: skip
    """Try parameters; the best first.

    Args:
        task: the fit as it stands, whose parameters are replaced.
        pools, kept: as `refit` takes them.
        tried: changes of the parameters.
        told: is told how many fits are done, of how many.
    """
    parts = _parts(task)
    sizes = [max(1, len(tried) >> step) for step in range(len(SHARES))]
    done, total = 0, sum(sizes) * len(parts)
    going = [dict(changes) for changes in tried]
    out: list[Trial] = []
    for step, share in enumerate(SHARES):
        trials = []
        for changes in going:
            losses = []
            for fitted, judged in parts:
                losses.append(_loss(task, pools, kept, changes, _share_of(fitted, share, task.seed), judged))
                done += 1
                told(done, total)
            trials.append(Trial(changes, float(np.mean(losses)), share))
        trials.sort(key=lambda trial: trial.loss)
        out = [*trials, *(trial for trial in out if trial.changes not in going)]
        going = [trial.changes for trial in trials[: sizes[min(step + 1, len(sizes) - 1)]]]
    return out


def _parts(task: Task) -> list[tuple[Bools, Bools]]:
    """Rows to fit on and to judge on."""
    if task.validation.any():
        return [(task.train, task.validation)]
    fold = draw(task.seed, "search folds", 0).permutation(len(task.train)) % FOLDS
    return [(task.train & (fold != k), task.train & (fold == k)) for k in range(FOLDS)]


def _share_of(rows: Bools, share: float, seed: int) -> Bools:
    """A share of the rows, drawn by chance; the same for every candidate."""
    return rows & (draw(seed, "search rows", 0).random(len(rows)) < share) if share < 1 else rows


def _loss(
    task: Task, pools: Mapping[str, tuple[Split, ...]], kept: Mapping[str, Kept], changes: Mapping[str, Any],
    fitted: Bools, judged: Bools,
) -> float:  # fmt: skip
    params = task.params.model_copy(update={**changes, "early_stopping_rounds": 0})
    boosted = refit(replace(task, params=params, train=fitted, validation=np.zeros_like(judged)), pools, kept)
    losses = EarlyStopping.of_loss(params, task.objective, judged)
    losses.enough(boosted.margin)
    return losses.values[0]
