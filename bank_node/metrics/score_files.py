"""Reading the scores of a run: the rows of every part in their final order, the same under every rung."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from bank_node.data.saved import add_table, loaded
from bank_node.metrics.scores import (
    ABSENCES_FILE,
    EVALUATED,
    FOLDS_FILE,
    IN_TIME,
    PARTS,
    SCORES_FILE,
    SEGMENTS_FILE,
    VALIDATION,
    Absent,
    Key,
    Scored,
)
from protocol.algorithms.parameters import Task
from protocol.errors import DataError
from protocol.messages import F64, I64

Where = Mapping[str, str]
"""Which rows of a file, by column and value: those of a part, or of a fold of a repeat."""


def read_scores(
    folder: Path,
    keys: Sequence[Key],
    task: Task = "binary",
    powers: dict[Key, float] | None = None,
    dated: bool = False,
) -> Scored:
    """The test rows of these rungs and models. dated: whether ids end with a date, so that a customer has several.

    Raises:
        UsageError: the file is missing or lacks a column.
        DataError: no test rows, one class only, rungs over different rows, or a score that cannot be one.
    """
    with loaded(folder / SCORES_FILE) as table:
        return scores_in(table, folder, keys, task, powers, dated)


def scores_in(
    table: duckdb.DuckDBPyConnection,
    folder: Path,
    keys: Sequence[Key],
    task: Task,
    powers: dict[Key, float] | None,
    dated: bool,
) -> Scored:
    """`read_scores` of a file that is loaded already."""
    counts = _counts(table, keys[0], task)
    first, judged = _judged(table, keys, {"part": EVALUATED}, counts, task, dated)
    in_time = _judged(table, keys, {"part": IN_TIME}, counts, task, dated)[1] if counts[IN_TIME] else None
    calibrates = counts[VALIDATION] and task == "binary"
    absent = _absent(table, folder / ABSENCES_FILE, first, set(keys))
    powers, folds = powers or {}, _folds(folder / FOLDS_FILE, task, dated)
    return replace(
        judged,
        absent=absent,
        powers=powers,
        in_time=in_time and replace(in_time, powers=powers),
        folds={number: replace(fold, powers=powers) for number, fold in folds.items()},
        segments=_segments(table, folder / SEGMENTS_FILE, first),
        validation=_judged(table, keys, {"part": VALIDATION}, counts, task, dated)[1] if calibrates else None,
    )


def _judged(
    table: duckdb.DuckDBPyConnection, keys: Sequence[Key], where: Where, counts: dict[str, int], task: Task, dated: bool
) -> tuple[dict[str, Any], Scored]:
    """The rows of one part or fold: as they stand, and as they are judged."""
    first = _rows(table, keys[0], where)
    _require_labels(first["label"], task, both=where != {"part": VALIDATION})
    label = first["label"].astype(np.uint8 if task == "binary" else np.float64)
    scores = {key: _scores(key, first if key == keys[0] else _rows(table, key, where), first, task) for key in keys}
    customer, amount = _customers(first["id"]) if dated else None, first.get("amount")
    return first, Scored(label, first.get("weight"), scores, counts, task=task, amount=amount, customer=customer)


def _customers(ids: npt.NDArray[np.object_]) -> I64:
    """Whose each row is, from ids that end with a date."""
    _, customer = np.unique([str(name).rpartition("|")[0] for name in ids], return_inverse=True)
    return customer.astype(np.int64)


def _rows(table: duckdb.DuckDBPyConnection, key: Key, where: Where) -> dict[str, Any]:
    """Columns of one rung's rows in a part or fold, in tie order."""
    among = " AND ".join(f"{column} = ?" for column in where)
    query = f"SELECT * FROM scores WHERE rung = ? AND model = ? AND {among} ORDER BY sha256(id), id"
    rows: dict[str, Any] = table.execute(query, [*key, *where.values()]).fetchnumpy()
    if not len(rows["id"]):
        raise DataError("report", f"{SCORES_FILE} has no test rows of {_named(key)}", "give the split a test share")
    return {name: np.ma.getdata(column) for name, column in rows.items()}


def _scores(key: Key, rows: dict[str, Any], first: dict[str, Any], task: Task) -> F64:
    """The scores of a rung's rows, which must be those of the first rung."""
    if not (np.array_equal(rows["id"], first["id"]) and np.array_equal(rows["label"], first["label"])):
        raise DataError("report", f"{_named(key)} was scored on other rows", "score every rung on the same test rows")
    classes = _classes(rows)
    columns = classes if task == "multiclass" else ["score"]
    if not columns or not set(columns) <= set(rows):
        raise DataError("report", f"{_named(key)} lacks probabilities of classes", "score again with this version")
    score: F64 = np.stack([rows[name].astype(np.float64) for name in columns], axis=1)
    score = score if task == "multiclass" else score[:, 0]
    finite = bool(np.isfinite(score).all())
    if task == "regression" and not finite:
        raise DataError("report", f"{_named(key)} has scores that are no numbers", "score again")
    if task != "regression" and not (finite and score.min() >= 0 and score.max() <= 1):
        raise DataError("report", f"{_named(key)} has scores that are no probabilities", "score with probabilities")
    return score


def _classes(rows: dict[str, Any]) -> list[str]:
    """The columns of the probabilities of classes, in their order."""
    return [f"score_{k}" for k in range(sum(name.startswith("score_") for name in rows))]


def _require_labels(label: F64, task: Task, both: bool) -> None:
    if task != "binary":
        if not np.isfinite(label).all():
            raise DataError("report", f"{SCORES_FILE} has labels that are no numbers", "give every row its label")
        return
    if not np.isin(label, (0, 1)).all():
        raise DataError("report", f"{SCORES_FILE} has labels other than 0 and 1", "give every row its label")
    if both and label.min() == label.max():
        raise DataError("report", "the test rows are all of one class", "give the test part more rows")


def _folds(path: Path, task: Task, dated: bool) -> dict[tuple[int, int], Scored]:
    """The folds of a run, each as if it were a test part."""
    if not path.is_file():
        return {}
    with loaded(path, ("repeat", "fold")) as table:
        numbers = table.sql("SELECT DISTINCT repeat, fold FROM scores").fetchall()
        keys: list[Key] = table.sql("SELECT DISTINCT rung, model FROM scores ORDER BY ALL").fetchall()
        return {
            (int(cut), int(fold)): _judged(table, keys, {"repeat": cut, "fold": fold}, {}, task, dated)[1]
            for cut, fold in numbers
        }


def _absent(table: duckdb.DuckDBPyConnection, path: Path, first: dict[str, Any], keys: set[Key]) -> dict[Absent, F64]:
    """Scores without a partner, in tie order; of the rungs asked for."""
    if not path.is_file():
        return {}
    types = {"id": "VARCHAR", "rung": "VARCHAR", "model": "VARCHAR", "without": "VARCHAR", "score": "DOUBLE"}
    types |= dict.fromkeys(_classes(first), "DOUBLE")
    try:
        add_table(table, "absences", path, types)
    except duckdb.Error:
        raise DataError("report", f"{ABSENCES_FILE} is no table of scores", "train again") from None
    names = table.sql("SELECT DISTINCT rung, model, without FROM absences ORDER BY ALL").fetchall()
    return {name: _without(table, name, first) for name in names if name[:2] in keys}


def _without(table: duckdb.DuckDBPyConnection, name: Absent, first: dict[str, Any]) -> F64:
    query = "SELECT * FROM absences WHERE rung = ? AND model = ? AND without = ? ORDER BY sha256(id), id"
    rows: dict[str, Any] = table.execute(query, list(name)).fetchnumpy()
    classes = [np.ma.getdata(rows[name]) for name in _classes(first)]
    score: F64 = (np.stack(classes, axis=1) if classes else np.ma.getdata(rows["score"])).astype(np.float64)
    if not np.array_equal(np.ma.getdata(rows["id"]), first["id"]) or not np.isfinite(score).all():
        raise DataError("report", f"{ABSENCES_FILE} is not over the test rows of {_named(name[:2])}", "train again")
    return score


def _segments(
    table: duckdb.DuckDBPyConnection, path: Path, first: dict[str, Any]
) -> dict[str, npt.NDArray[np.object_]]:
    """The groups of the test rows, in tie order, by column."""
    if not path.is_file():
        return {}
    types = dict.fromkeys(("id", "segment", "value"), "VARCHAR")
    add_table(table, "segments", path, types)
    names = table.sql("SELECT DISTINCT segment FROM segments ORDER BY segment").fetchall()
    found = {}
    for (name,) in names:
        query = "SELECT id, value FROM segments WHERE segment = ? ORDER BY sha256(id), id"
        rows: dict[str, Any] = table.execute(query, [name]).fetchnumpy()
        if not np.array_equal(np.ma.getdata(rows["id"]), first["id"]):
            raise DataError("report", f"{SEGMENTS_FILE} is not over the test rows", "train again")
        found[name] = np.ma.getdata(rows["value"]).astype(object)
    return found


def _counts(table: duckdb.DuckDBPyConnection, key: Key, task: Task) -> dict[str, int]:
    query = "SELECT part, count(*), count(*) FILTER (label = 1) FROM scores WHERE rung = ? AND model = ? GROUP BY part"
    found = {part: (rows, bads) for part, rows, bads in table.execute(query, [*key]).fetchall()}
    total, bads = (sum(pair[which] for pair in found.values()) for which in (0, 1))
    return {"rows": total, "bads": bads if task == "binary" else 0} | {
        part: found.get(part, (0, 0))[0] for part in PARTS
    }


def _named(key: Key) -> str:
    return f"rung {key[0]!r} of model {key[1]!r}"
