"""Scores as files from which anybody can compute every figure anew: floats are written exactly."""

import csv
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from bank_node.family.training import Training
from bank_node.training.outcome.segments import groups_of
from protocol.messages import F64


def scores_file(training: Training) -> bytes:
    """id, rung, model, part, label, score, and weight and amount where the table has them.

    With classes the score is that of the largest probability, and the probabilities follow, a column a class.
    """
    table = training.table
    extra = [(n, v) for n, v in (("weight", table.weight), ("amount", table.amount)) if v is not None]
    parts, labels, values = training.parts.tolist(), _labels(training), [column.tolist() for _, column in extra]
    text, rows = _csv("id rung model part label score", *(name for name, _ in extra), *_classes(training))
    ids = [i.decode() for i in table.written_ids]
    for t in training.rungs:
        score, each = _columns(training, t.score)
        names = _repeated(len(ids), t.rung.name, t.model)
        rows.writerows(zip(ids, *names, parts, labels, score, *values, *each, strict=True))
    return text.getvalue().encode()


def absences_file(training: Training) -> bytes:
    """id, rung, model, without, score, and classes as in scores.csv: test rows without each of a rung's partners."""
    text, rows = _csv("id rung model without score", *_classes(training))
    ids = _ids(training, training.parts == "test")
    for t in training.rungs:
        for partner, found in t.absent.items():
            score, each = _columns(training, found)
            rows.writerows(zip(ids, *_repeated(len(ids), t.rung.name, t.model, partner), score, *each, strict=True))
    return text.getvalue().encode()


def segments_file(training: Training) -> bytes:
    """id, segment, value: the group of every test row by every segment column."""
    text, rows = _csv("id segment value")
    test = np.flatnonzero(training.parts == "test").tolist()
    for column in training.table.segments:
        groups = groups_of(column, training.parts == "train")
        rows.writerows((training.table.written_ids[row].decode(), column.name, groups[row]) for row in test)
    return text.getvalue().encode()


def folds_file(training: Training) -> bytes:
    """The training rows: id, rung, model, repeat, fold, label, score, and weight and classes as in scores.csv."""
    table, folds = training.table, training.folds
    assert folds is not None
    weighted = ["weight"] if table.weight is not None else []
    text, rows = _csv("id rung model repeat fold label score", *weighted, *_classes(training))
    inside = folds[0] > 0
    ids, label = _ids(training, inside), np.array(_labels(training))[inside].tolist()
    weight = [] if table.weight is None else [table.weight[inside].tolist()]
    for t in training.rungs:
        for cut, predicted in enumerate(t.folds if t.folds is not None else ()):
            fold = (folds[cut, inside] - 1) % training.job.split.folds + 1
            score, each = _columns(training, predicted[inside])
            names = _repeated(len(ids), t.rung.name, t.model, cut + 1)
            rows.writerows(zip(ids, *names, fold.tolist(), label, score, *weight, *each, strict=True))
    return text.getvalue().encode()


def _csv(header: str, *more: str) -> tuple[io.StringIO, Any]:
    """A text, and what writes rows into it; the header is written. header: names, parted by blanks."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*header.split(), *more])
    return text, rows


def _ids(training: Training, chosen: npt.NDArray[np.bool_]) -> list[str]:
    """Ids of some rows."""
    return [i.decode() for i, one in zip(training.table.written_ids, chosen.tolist(), strict=True) if one]


def _labels(training: Training) -> list[Any]:
    """Labels as they are written: whole numbers, but for a regression."""
    label = training.table.label
    assert label is not None
    found: list[Any] = (label if training.job.task == "regression" else label.astype(int)).tolist()
    return found


def _classes(training: Training) -> list[str]:
    """Columns of probabilities, a class each; none of other tasks."""
    return [f"score_{k}" for k in range(training.job.models[0].num_class)]


def _columns(training: Training, found: F64) -> tuple[list[Any], list[list[float]]]:
    """The score of every row, and the columns of `_classes`. found: shape (n,), or (n, classes)."""
    if training.job.models[0].num_class:
        return found.argmax(axis=1).tolist(), found.T.tolist()
    return found.tolist(), []


def _repeated(rows: int, *names: str | int) -> list[list[str | int]]:
    """What is alike in all rows, a column each."""
    return [[name] * rows for name in names]
