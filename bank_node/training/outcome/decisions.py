"""What a training adds to a model so that it can watch a book: probabilities of default, bands, and reasons."""

from pathlib import Path

import numpy as np

from bank_node.decisions.banding import find_cuts
from bank_node.decisions.watch_list import WatchList
from bank_node.families.catalogue import family_in
from bank_node.family.fitted import Fitted
from bank_node.family.training import TrainedRung, Training
from bank_node.metrics.calibration_fits import calibrate
from bank_node.models.bands import BandCuts
from bank_node.models.calibration import Calibration, pd_of
from bank_node.models.folder import ModelFolder


def calibration_of(training: Training, trained: TrainedRung[Fitted]) -> Calibration | None:
    """Fitted on the validation part; none where there is none, or too few of a class, or the label is not 0 or 1."""
    table, rows = training.table, training.parts == "validation"
    assert table.label is not None
    if training.job.task != "binary" or not rows.any():
        return None
    found = calibrate(table.label[rows], trained.score[rows], None if table.weight is None else table.weight[rows])
    return found.chosen if found else None


def bands_of(training: Training, trained: TrainedRung[Fitted], calibration: Calibration | None) -> BandCuts | None:
    """Cut-offs on the validation part; none without [bands], and none of the placebo."""
    table, rows, settings = training.table, training.parts == "validation", training.job.bands
    assert table.label is not None
    if settings is None or calibration is None or trained.rung.placebo:
        return None
    score = trained.score[rows]
    amount, weight = (None if each is None else each[rows] for each in (table.amount, table.weight))
    return find_cuts(settings, table.label[rows], score, pd_of(calibration, score), amount, weight)


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
        family_in(training, full.model).told(training, full, np.flatnonzero(test)),
    )
    watch.write(path)
