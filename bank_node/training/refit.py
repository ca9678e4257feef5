"""Refit: train a run's boosted trees again on what the bank knows, without a message to anybody.

The bank knows its own columns and the splits that the run's discovery revealed. A model fitted on
them may have other parameters, as long as the bins stay the same. It is scored by the pools that the
partners kept when the run ended.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import msgspec

from bank_node.data.parts import assign_parts
from bank_node.partners.known_splits import load_known
from bank_node.partners.partner_view import PartnerView
from bank_node.partners.sessions import PartnerSessions
from bank_node.settings.config import BankConfig
from bank_node.settings.timing import Stopwatch
from bank_node.training.absences import absence_scores
from bank_node.training.model import Progress
from bank_node.training.own_table import read_own_table
from bank_node.training.refit_record import KnownModel, RefitRecord
from bank_node.training.refit_search import Trial, candidates, search
from bank_node.training.training import TrainedRung, Training
from bank_node.training.trees import task_of
from bank_node.trees.boosting import nobody
from bank_node.trees.boosting import refit as refit_trees
from protocol.algorithms.parameters import BoostingParams
from protocol.contract import Contract
from protocol.errors import DataError, UsageError
from protocol.he.streams import digest
from protocol.job import BoostingModel, Job
from protocol.job.ladder import Rung, rungs
from protocol.settings import check_settings


class _NoKit:
    """Stands for a secret kit where nothing is sealed."""

    def seal(self, *_: object) -> NoReturn:
        raise AssertionError("a refit seals nothing")

    open = seal


def refit(
    config: BankConfig, record: RefitRecord, changes: Mapping[str, Any], progress: Progress, searched: bool = False
) -> tuple[Training, list[Trial]]:
    """Fit every boosted model of a finished run again.

    Args:
        record: of the run.
        changes: parameters by name that replace the run's.
        searched: whether to look for the other parameters too, by the largest party set of the first model.

    Returns:
        The training, as one that asked its partners leaves it; and what the search tried, the best first.

    Raises:
        UsageError: the run has no boosted trees, or a parameter cannot be changed.
        DataError: the bank's table is not the run's, or the bits of its splits are gone.
    """
    if config.split_rows == "node":
        thing = 'with split_rows = "node" it knows a split of the rows of some nodes alone, and cannot fit on it'
        raise UsageError(config.party, thing, "train again with other parameters")
    training = _known_training(config, _job(config, record, changes), record, progress)
    trials: list[Trial] = []
    if searched:
        trials = _searched(training, record, changes, progress)
        training.job = _job(config, record, {**changes, **trials[0].changes})
    for number, name in enumerate(training.job.model_names):
        for rung in rungs(config.party, training.job.partners, training.job.run.ladder, False):
            known = next((m for m in record.models if (m.model, m.rung) == (name, rung.name)), None)
            if known is not None:
                training.rungs.append(_refit_rung(training, number, rung, known, progress))
    return training, trials


def read_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """Parameters written as KEY=VALUE, VALUE as in a scenario file. Raises: UsageError: a pair that is none."""
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise UsageError("refit", f"--params {pair!r} is no KEY=VALUE", "write --params n_estimators=300, say")
        changes[name.strip()] = _value(value.strip())
    return changes


def _value(text: str) -> Any:
    """A value as TOML has it; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _searched(training: Training, record: RefitRecord, changes: Mapping[str, Any], progress: Progress) -> list[Trial]:
    """Try parameters on the largest party set of the first model."""
    first = [model for model in record.models if model.model == training.job.model_names[0]]
    known = max(first, key=lambda model: len(model.splits))
    ladder = rungs(training.table.party, training.job.partners, training.job.run.ladder, False)
    rung = next(rung for rung in ladder if rung.name == known.rung)
    params = training.job.boosting_models[0].params
    task = task_of(training, 0, params, rung, Stopwatch(), lambda done, total: None)
    tried = candidates(params, changes, task.seed)
    return search(task, known.splits, known.kept, tried, partial(progress, "search"))


def _known_training(config: BankConfig, job: Job, record: RefitRecord, progress: Progress) -> Training:
    """A training before its first fit, with all that the run left."""
    table = read_own_table(config, job)
    if table.sha256 != record.data:
        raise DataError(config.party, "its table is not the one that the run was trained on", "train again")
    sessions = PartnerSessions(config, table, nobody, progress)
    sessions.welcomes = dict(record.welcomes)
    sessions.contracts = {p: Contract(**clauses) for p, clauses in record.contracts.items()}
    alignments = {}
    for partner in record.welcomes:
        kept = sessions.kept(partner)
        if kept is None:
            raise DataError(config.party, f"its alignment with {partner} is gone", "train again")
        alignments[partner] = kept
    training = Training(job, table, assign_parts(job.split, table, job.task), sessions, alignments, steps=0)
    training.runs, training.subject, training.refitted = dict(record.runs), record.subject, True
    _open_views(training, record)
    return training


def _job(config: BankConfig, record: RefitRecord, changes: Mapping[str, Any]) -> Job:
    """The run's job with its boosted models alone, their parameters changed, and nothing that asks a partner."""
    job = Job.model_validate(record.job)
    names, models = list(job.model_names), []
    for name, model in zip(names, job.models, strict=True):
        if not isinstance(model, BoostingModel):
            continue
        values = {**model.params.model_dump(exclude_unset=True), **changes}
        params = check_settings(BoostingParams, values, f"refit of {name}")
        if params.cutting != model.params.cutting or params.objective != model.params.objective:
            thing = "max_bin and objective are those of the run"
            raise UsageError(config.party, f"a refit cannot change them: {thing}", "leave them out, or train anew")
        models.append(BoostingModel(params=params))
    if not models:
        raise UsageError(config.party, "the run has no boosted trees to fit again", "train a boosting model")
    report = job.report.model_copy(update={"placebo": False, "bin_tables": False})
    split = job.split.model_copy(update={"folds": 0})
    update = {"models": tuple(models), "report": report, "selection": None, "split": split}
    return job.model_copy(update=update)


def _open_views(training: Training, record: RefitRecord) -> None:
    """The partners' bins with the bits of their revealed splits."""
    sessions, asked = training.sessions, {model.params.cutting for model in training.job.boosting_models}
    for known in (layout for layout in record.layouts if layout.cutting in asked):
        path = sessions.known_file(known.layout)
        if not path.exists() and any(model.splits.get(known.partner) for model in record.models):
            thing = f"the splits that {known.partner} revealed are no longer in its state folder"
            raise DataError(sessions.config.party, thing, "train again")
        training.views[known.partner, known.cutting] = PartnerView(
            name=known.partner,
            layout=known.layout,
            columns=known.columns,
            positions=training.alignments[known.partner].positions,
            kit=_NoKit(),
            known=load_known(path, known.rows),
            split_rows=sessions.config.split_rows,
            run=training.runs[known.partner],
        )


def _refit_rung(training: Training, number: int, rung: Rung, known: KnownModel, progress: Progress) -> TrainedRung:
    """One party set of one model."""
    model = training.job.models[number]
    assert isinstance(model, BoostingModel)
    clock = Stopwatch()
    told = partial(progress, f"rung {rung.name}")
    task = task_of(training, number, model.params, rung, clock, told)
    boosted = refit_trees(task, known.splits, known.kept)
    with clock("score"):
        score = task.objective.predict(boosted.margin)
        absent = absence_scores(task, boosted, training.table, training.parts)
    return TrainedRung(
        rung, training.job.model_names[number], boosted, score, dict(clock.seconds), [], dict(known.kept),
        dict(known.information), digest(msgspec.json.encode(task.columns.rules)).hex(), absent,
    )  # fmt: skip
