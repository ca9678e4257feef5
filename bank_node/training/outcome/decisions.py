"""What a training adds to a model so that it can watch a book: probabilities of default, bands, and reasons."""

from pathlib import Path

import numpy as np

from bank_node.decisions.banding import find_cuts
from bank_node.decisions.explaining import ToldOf
from bank_node.decisions.watch_list import WatchList
from bank_node.families.scorers import Part
from bank_node.linear.task import FittedGlm
from bank_node.metrics.calibration_fits import calibrate
from bank_node.models.bands import BandCuts
from bank_node.models.calibration import Calibration, pd_of
from bank_node.models.folder import ModelFolder
from bank_node.training.absences import told_of
from bank_node.training.training import TrainedRung, Training
from bank_node.trees.scorer import handles_of


def calibration_of(training: Training, trained: TrainedRung) -> Calibration | None:
    """Fitted on the validation part; none where there is none, or too few of a class, or the label is not 0 or 1."""
    table, rows = training.table, training.parts == "validation"
    assert table.label is not None
    if training.job.task != "binary" or not rows.any():
        return None
    found = calibrate(table.label[rows], trained.score[rows], None if table.weight is None else table.weight[rows])
    return found.chosen if found else None


def bands_of(training: Training, trained: TrainedRung, calibration: Calibration | None) -> BandCuts | None:
    """Cut-offs on the validation part; none without [bands], and none of the placebo."""
    table, rows, settings = training.table, training.parts == "validation", training.job.bands
    assert table.label is not None
    if settings is None or calibration is None or trained.rung.placebo:
        return None
    score = trained.score[rows]
    amount, weight = (None if each is None else each[rows] for each in (table.amount, table.weight))
    return find_cuts(settings, table.label[rows], score, pd_of(calibration, score), amount, weight)


def columns_of(training: Training, trained: TrainedRung) -> dict[str, tuple[str, ...]]:
    """By party, the column of each handle, or of the bank's own terms: its name, or its number where it is not told."""
    bank, fitted = training.table.party, trained.fitted
    called = training.job.parties[bank].names
    if isinstance(fitted, FittedGlm):
        return {bank: tuple(called.get(term.column, term.column) for term in fitted.model.own)}
    found = {bank: tuple(called.get(split.column, split.column) for split in fitted.model.bank_splits)}
    for partner in trained.rung.partners:
        names = [shape.name or f"column {shape.number + 1}" for shape in training.view(trained, partner).columns]
        used = fitted.handles[partner][: handles_of(fitted.model, partner)]
        found[partner] = tuple(names[split.column] for split in used)
    return found


def baseline_of(training: Training, trained: TrainedRung) -> dict[str, tuple[float, ...]]:
    """Of a linear model, by party: the mean of each own term, and of each partner's part, over the rows trained on."""
    fitted, train = trained.fitted, training.parts == "train"
    if not isinstance(fitted, FittedGlm):
        return {}
    columns = {column.name: column.rows(train) for column in training.table.columns}
    own = tuple(float(t.encode(columns[t.column]).mean()) * t.coefficient for t in fitted.model.own)
    parts = {p: (float(part[train].mean()),) for p, part in fitted.told.items()}
    return {training.table.party: own, **parts}


def write_watch_list(training: Training, models: list[ModelFolder], path: Path) -> None:
    """The test rows' red and amber ones by the full rung of the first model."""
    rungs = [t for t in training.rungs if t.model == training.job.model_names[0] and not t.rung.placebo]
    full = max(rungs, key=lambda t: len(t.rung.partners))
    test, table = training.parts == "test", training.table
    columns = {column.name: column.rows(test) for column in table.columns}
    amount = None if table.amount is None else table.amount[test]
    watch = WatchList(models[training.rungs.index(full)])
    watch.add(
        [table.written_ids[row] for row in np.flatnonzero(test)],
        full.score[test],
        amount,
        columns,
        _told(training, full),
    )
    watch.write(path)


def _told(training: Training, trained: TrainedRung) -> ToldOf:
    """What the training was told of the test rows."""
    fitted, test = trained.fitted, training.parts == "test"
    if isinstance(fitted, FittedGlm):
        return {p: Part(part[test]) for p, part in fitted.told.items()}
    views = {p: training.view(trained, p) for p in trained.rung.partners}
    return {p: told_of(view, fitted.handles[p], np.flatnonzero(test)) for p, view in views.items()}
