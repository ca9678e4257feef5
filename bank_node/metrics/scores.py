"""`scores.csv`: one line a row of the bank, rung and model. Every figure of the report follows from it.

Columns: id, rung, model, part, label, score, and weight and amount where the job declares them. A score is the
estimated probability of a bad outcome; the estimated number, in a regression. With classes 0 .. K-1 it is the class
of the largest probability, and score_0 .. score_K-1 are the probabilities. Figures are computed over the part `test`.

**Ties.** Rows are ranked by descending score; rows of equal score by ascending SHA-256 of their id (hexadecimal,
of its UTF-8 form). The ids themselves would not do: files are often sorted by label or date, and so are ids.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bank_node.metrics.calibration_fits import Calibrations, calibrate
from protocol.algorithms.parameters import Task
from protocol.messages import F64, I64

SCORES_FILE = "scores.csv"
ABSENCES_FILE = "absences.csv"
FOLDS_FILE = "folds.csv"
SEGMENTS_FILE = "segments.csv"
EVALUATED, IN_TIME, VALIDATION = "test", "in_time", "validation"
PARTS = ("train", VALIDATION, "test", IN_TIME, "embargo")

Key = tuple[str, str]
"""(rung, model)."""
Absent = tuple[str, str, str]
"""(rung, model, the partner that is absent)."""


@dataclass(frozen=True)
class Scored:
    """The evaluated rows of a run, the same rows in the same order under every rung: ties in their final order.

    label: 1 = bad, shape (n,), uint8; or a number or class, float64. weight: a row's weight, shape (n,); None where
    none is declared. scores: shape (n,), or (n, classes), by (rung, model). counts: rows, bads, train, validation,
    test of the whole file. powers: variance powers of regressions, by (rung, model).
    segments: by column, the group of each row, shape (n,); none where `segments.csv` is not there.
    amount: exposure in money, shape (n,); None where none is declared.
    folds: by repeat and number, the rows of a fold under every rung but the placebo; none without `folds.csv`.
    absent: scores of the same rows without one partner, shape as scores; none where `absences.csv` is not there.
    in_time: of a split by time, the rows drawn from the time that was trained on; None without such.
    validation: of a 0/1 label, the rows on which scores are calibrated; None without such. It has no `validation`.
    customer: whose each row is, from 0, shape (n,), where rows are dated and a customer has several; else None.
    """

    label: npt.NDArray[Any]
    weight: F64 | None
    scores: dict[Key, F64]
    counts: dict[str, int]
    absent: dict[Absent, F64] = field(default_factory=dict)
    task: Task = "binary"
    powers: dict[Key, float] = field(default_factory=dict)
    in_time: "Scored | None" = None
    folds: dict[tuple[int, int], "Scored"] = field(default_factory=dict)
    validation: "Scored | None" = None
    amount: F64 | None = None
    customer: I64 | None = None
    segments: dict[str, npt.NDArray[np.object_]] = field(default_factory=dict)

    @cached_property
    def calibrations(self) -> dict[Key, Calibrations]:
        """Maps to probabilities of default by (rung, model); none where the validation part admits none."""
        rows = self.validation
        fits = {key: calibrate(rows.label, score, rows.weight) for key, score in rows.scores.items()} if rows else {}
        return {key: fit for key, fit in fits.items() if fit is not None}
