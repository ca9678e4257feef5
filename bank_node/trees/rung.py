"""A rung of boosted trees: trained, and once more without each fold."""

from dataclasses import replace

import msgspec
import numpy as np

from bank_node.family.columns import in_rung, own_columns
from bank_node.family.fitted import KnownModel
from bank_node.family.objective import objective_of
from bank_node.family.training import TrainedRung, Training, Under
from bank_node.settings.timing import Stopwatch
from bank_node.trees.absence import absence_scores
from bank_node.trees.boosting import boost, refit
from bank_node.trees.task import Boosted, Progress, Task
from protocol.algorithms.boosting import Split
from protocol.algorithms.parameters import BoostingParams
from protocol.he.streams import digest
from protocol.job.ladder import Rung
from protocol.messages import F64
from protocol.role import drive


def train_rung(under: Under, params: BoostingParams, rung: Rung, clock: Stopwatch) -> TrainedRung[Boosted]:
    """One rung of boosted trees, and its folds if the job has some."""
    training = under.training
    task = task_of(training, under.number, params, rung, clock, under.progress(rung))
    boosted = drive(boost(task), under.exchange)
    if not rung.placebo:
        training.found |= {(p, params.cutting): frozenset(splits) for p, splits in boosted.handles.items()}
    folds = None
    if training.folds is not None and not rung.placebo:
        with clock("folds"):
            folds = _train_folds(under, params, task)
    with clock("score"):
        score = task.objective.predict(boosted.margin)
        absent = {} if rung.placebo else absence_scores(task, boosted, training.table, training.parts)
    return under.trained(rung, boosted, score, absent, task.columns.rules, clock, folds)


def _train_folds(under: Under, params: BoostingParams, task: Task) -> F64:
    """Each training row's prediction in each cut, by a model of the rung fitted on the other folds; nan elsewhere."""
    training = under.training
    assert training.folds is not None
    found: F64 | None = None
    for fold in range(1, training.folds.max() + 1):
        inside = training.folds == fold
        fitted = task.train & ~inside.any(axis=0)
        label, columns = msgspec.structs.replace(task.label, fold=fold), own_columns(training, params.cutting, fold)
        apart = replace(task, label=label, train=fitted, columns=columns, found={}, clock=Stopwatch())
        boosted = drive(boost(apart), under.exchange)
        predicted = task.objective.predict(boosted.margin)
        found = np.full((len(inside), *predicted.shape), np.nan) if found is None else found
        cut = int(inside.any(axis=1).argmax())
        found[cut, inside[cut]] = predicted[inside[cut]]
    assert found is not None
    return found


def task_of(
    training: Training, number: int, params: BoostingParams, rung: Rung, clock: Stopwatch, progress: Progress
) -> Task:
    """What is trained. Of the clauses of the rung's partners the strictest holds.

    A party set begins with the splits that earlier sets of the run found; the placebo finds its own.
    """
    job, table = training.job, training.table
    assert table.label is not None
    weights = np.ones(table.rows) if table.weight is None else table.weight
    contracts = [training.sessions.contracts[p] for p in rung.partners]
    return Task(
        label=training.label("sums", number, rung),
        bank=training.sessions.config.party,
        objective=objective_of(params, table.label, weights),
        train=training.parts == "train",
        validation=training.parts == "validation",
        params=params,
        seed=job.run.seed,
        min_rows_per_node=max((c.min_rows_per_node for c in contracts), default=0),
        histogram_noise=max((c.histogram_noise for c in contracts), default=0.0),
        columns=own_columns(training, params.cutting),
        partners=tuple(in_rung(training, rung, training.views[p, params.cutting]) for p in rung.partners),
        found={} if rung.placebo else {p: _found_by(training, p, params) for p in rung.partners},
        progress=progress,
        clock=clock,
    )


def _found_by(training: Training, partner: str, params: BoostingParams) -> frozenset[Split]:
    """The splits of a partner that a fit begins with; all that are known, if it starts warm."""
    known = training.views[partner, params.cutting].known.sides if params.warm_start else ()
    return training.found.get((partner, params.cutting), frozenset()) | frozenset(known)


def refit_rung(
    training: Training, number: int, params: BoostingParams, rung: Rung, known: KnownModel, told: Progress
) -> TrainedRung[Boosted]:
    """One rung fitted again on the splits that a run left."""
    clock = Stopwatch()
    task = task_of(training, number, params, rung, clock, told)
    boosted = refit(task, known.splits, known.kept)
    with clock("score"):
        score = task.objective.predict(boosted.margin)
        absent = absence_scores(task, boosted, training.table, training.parts)
    return TrainedRung(
        rung, training.job.model_names[number], boosted, score, dict(clock.seconds), [], dict(known.kept),
        dict(known.information), digest(msgspec.json.encode(task.columns.rules)).hex(), absent,
    )  # fmt: skip
