"""Which rows are trained on, judged on for early stopping, and tested: the same on every rung."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from protocol.algorithms.parameters import Task
from protocol.draws import draw
from protocol.errors import DataError
from protocol.job import Split
from protocol.messages import F64
from protocol.table import Table

Parts = npt.NDArray[np.str_]
NAMES = ("train", "validation", "test")


def assign_parts(split: Split, table: Table, task: Task = "binary") -> Parts:
    """The part of every row of the bank's table, shape (n,).

    Rows are drawn in order of id. By time, the last rows are the test, those just before the validation, and rows of
    one moment stay together; rows within the embargo before a later part are left out, and a share of the others is
    drawn for a test in time, if both it and the rest have both classes.
    Without a test share, all rows that do not validate are trained on.
    Raises: DataError: a part has no rows, or only one class of a 0/1 label; a declared part is none of the three.
    """
    n = table.rows
    parts = np.full(n, "train", dtype="<U10")
    if split.kind == "column":
        parts = _declared(split, table)
    else:
        order = draw(split.seed, "split").permutation(n)
        if split.kind == "time":
            assert table.time is not None
            order = np.lexsort((np.arange(n), table.time))[::-1]
        test, validation = round(split.test * n), round(split.validation * n)
        parts[order[:test]] = "test"
        parts[order[test : test + validation]] = "validation"
        if split.kind == "time" and table.time is not None:
            _keep_moments_together(parts, table.time, order)
            _leave_out(parts, table.time, split.embargo)
            if split.test:
                _draw_in_time(parts, split, table, task)
    names = ("train", "test") if split.kind == "column" or split.test else ("train",)
    _require_both_classes(parts, table, names, task)
    return parts


def _declared(split: Split, table: Table) -> Parts:
    assert table.part is not None
    values = np.array([str(v).strip().lower() for v in table.part])
    wrong = int((~np.isin(values, NAMES)).sum())
    if wrong:
        raise DataError(
            table.party, f"column {split.column!r} has {wrong} values other than {', '.join(NAMES)}", "correct them"
        )
    return values


def _keep_moments_together(parts: Parts, time: npt.NDArray[np.datetime64], newest_first: npt.NDArray[np.int64]) -> None:
    """Rows of the moment at which a part begins all belong to the later part."""
    for later, earlier in (("test", ("validation", "train")), ("validation", ("train",))):
        rows = newest_first[parts[newest_first] == later]
        if len(rows):
            parts[np.isin(parts, earlier) & (time >= time[rows[-1]])] = later


def _leave_out(parts: Parts, time: npt.NDArray[np.datetime64], days: float) -> None:
    """Rows less than the embargo before the first moment of a later part: their outcomes were not known by then."""
    embargo = np.timedelta64(round(days * 86_400e6), "us")
    for later, earlier in (("test", ("validation", "train")), ("validation", ("train",))):
        if days and (parts == later).any():
            parts[np.isin(parts, earlier) & (time > time[parts == later].min() - embargo)] = "embargo"


def _draw_in_time(parts: Parts, split: Split, table: Table, task: Task) -> None:
    """Some of the rows left to train on, at random, so that one training is judged in and out of its time."""
    older = np.flatnonzero(parts == "train")
    drawn = older[draw(split.seed, "in time").permutation(len(older))[: round(split.in_time * len(older))]]
    tried = parts.copy()
    tried[drawn] = "in_time"
    if all(_serves(tried, table, name, task) for name in ("in_time", "train")):
        parts[drawn] = "in_time"


def labels_of(parts: Parts, table: Table, name: str) -> F64:
    """Labels of the rows of a part that weigh something."""
    assert table.label is not None
    inside = parts == name
    labels: F64 = table.label[inside if table.weight is None else inside & (table.weight > 0)]
    return labels


def _serves(parts: Parts, table: Table, name: str, task: Task) -> bool:
    """Whether a part has rows that weigh something, and of a 0/1 label both classes among them."""
    labels = labels_of(parts, table, name)
    return bool(labels.size and (task != "binary" or labels.min() != labels.max()))


def _require_both_classes(parts: Parts, table: Table, names: Sequence[str], task: Task) -> None:
    lacks = "both classes" if task == "binary" else "any rows"
    weighed = "" if table.weight is None else " of a weight above 0"
    for name in names:
        if not _serves(parts, table, name, task):
            thing = f"the {name} part has not {lacks}{weighed}"
            raise DataError(table.party, thing, "change [split], or give more rows")
