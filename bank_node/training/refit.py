"""Refit: fit a run's models again on what the bank knows, without a message to anybody.

The bank knows its own columns and the splits that the run's discovery revealed. A model fitted on
them may have other parameters, as long as the bins stay the same. It is scored by the pools that the
partners kept when the run ended.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from bank_node.data.parts import assign_parts
from bank_node.families.catalogue import FAMILIES, family_of
from bank_node.family.model_family import Trial
from bank_node.family.training import Progress, Training
from bank_node.partners.contracts import in_force
from bank_node.partners.known_splits import load_known
from bank_node.partners.partner_view import PartnerView
from bank_node.partners.sessions import PartnerSessions
from bank_node.settings.config import BankConfig
from bank_node.training.own_table import read_own_table
from bank_node.training.refit_record import RefitRecord
from bank_node.trees.boosting import nobody
from protocol.contract import Contract
from protocol.errors import DataError, UsageError
from protocol.job import Job
from protocol.job.ladder import rungs


class _NoKit:
    """Stands for a secret kit where nothing is sealed."""

    def seal(self, *_: object) -> NoReturn:
        raise AssertionError("a refit seals nothing")

    open = seal


def refit(
    config: BankConfig, record: RefitRecord, changes: Mapping[str, Any], progress: Progress, searched: bool = False
) -> tuple[Training, list[Trial]]:
    """Fit every model of a finished run again whose family can refit, with partners whose contracts are in force.

    Args:
        record: of the run.
        changes: parameters by name that replace the run's.
        searched: whether to look for the other parameters too, by the largest party set of the first model.

    Returns:
        The training, as one that asked its partners leaves it; and what the search tried, the best first.

    Raises:
        UsageError: no model of the run can be refitted, or a parameter cannot be changed.
        DataError: the bank's table is not the run's, or the bits of its splits are gone.
    """
    usable = {config.party, *in_force(config, record.welcomes)}
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
            if known is not None and set(rung.partners) <= usable:
                told = partial(progress, f"rung {rung.name}")
                family = family_of(training.job.models[number].kind)
                training.rungs.append(family.refit(training, number, rung, known, told))
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
    family = family_of(training.job.models[0].kind)
    return family.search(training, 0, rung, known, changes, partial(progress, "search"))


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
    """The run's job with the models that can be refitted, their parameters changed; nothing asks a partner."""
    job = Job.model_validate(record.job)
    models = []
    for name, model in zip(job.model_names, job.models, strict=True):
        family = family_of(model.kind)
        if "refit" in family.capabilities:
            models.append(family.changed(model, changes, name, config.party))
    if not models:
        able = ", ".join(kind for kind, family in FAMILIES.items() if "refit" in family.capabilities)
        raise UsageError(config.party, "the run has no model that can be fitted again", f"train one of kind {able}")
    report = job.report.model_copy(update={"placebo": False, "bin_tables": False})
    split = job.split.model_copy(update={"folds": 0})
    update = {"models": tuple(models), "report": report, "selection": None, "split": split}
    return job.model_copy(update=update)


def _open_views(training: Training, record: RefitRecord) -> None:
    """The partners' bins with the bits of their revealed splits."""
    sessions, asked = training.sessions, {model.cutting(training.job) for model in training.job.models}
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
