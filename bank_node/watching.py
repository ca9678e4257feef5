"""What a training adds to a model so that it can watch a book: probabilities of default, and where bands begin."""

from bank_node.banding import find_cuts
from bank_node.calibrating import calibrate
from bank_node.models.bands import BandCuts
from bank_node.models.calibration import Calibration, pd_of
from bank_node.training import TrainedRung, Training


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
