"""The catalogue of a table: every feature, how it is read, how full it is, and how it has moved.

Columns are read some at a time, by the same rules as for a training, so that memory grows with the rows and not with
the columns. Names of families and descriptions come from an optional `columns.csv` beside the table, with the columns
`name`, and `family`, `title`, `layer`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from protocol.errors import DataError, nearest
from protocol.messages import F64, I64
from protocol.table.reading import describe, read_table
from protocol.table.spec import Source, TableSpec
from protocol.table.table import Column, Table

AT_A_TIME: Final = 200
"""Columns that are read together."""
NAMES: Final = "columns.csv"
_GROUPS: Final = 10
_EMPTY: Final = 0.5
"""Rows that stand for none, so that a share may go under a logarithm."""


class Entry(msgspec.Struct, frozen=True):
    """One feature.

    kind: "number" or "category". reading: what was read otherwise than it is written. coverage: share of rows with a
    value. distinct: values. iv: information value over ten bins, None without a label of 0 and 1. drift: stability
    index against an earlier table, None without one, or where the column was not there.
    """

    name: str
    kind: str
    coverage: float
    distinct: int
    reading: str = ""
    iv: float | None = None
    drift: float | None = None
    family: str = ""
    title: str = ""
    layer: str = ""


def catalogue(source: Source, spec: TableSpec, party: str, against: Source | None = None) -> list[Entry]:
    """Every feature of a table, in its order. against: an earlier version of it. Raises: UsageError, DataError."""
    described, words = describe(source, spec, party), names_of(source.path, party)
    said = {note.column: note.text for note in described.notes if note.column}
    whole = spec.model_copy(update={"columns": TableSpec.model_fields["columns"].default})
    earlier = set(describe(against, whole, party).columns) if against else set()
    entries: list[Entry] = []
    for table, before in _batches(source, spec, party, described.columns, against, earlier):
        then = {column.name: column for column in before.columns} if before else {}
        entries += [
            _entry(column, table, then.get(column.name), said.get(column.name, ""), words.get(column.name, {}))
            for column in table.columns
        ]
    return entries


def names_of(path: Path, party: str) -> dict[str, dict[str, str]]:
    """What `columns.csv` beside a table says of its columns, by name; nothing where there is none.

    Raises: DataError: it has no column `name`.
    """
    file = (path if path.is_dir() else path.parent) / NAMES
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if "name" not in (rows.fieldnames or ()):
            hint = nearest("name", list(rows.fieldnames or ()))
            raise DataError(party, f"{NAMES} has no column 'name'{hint}", "name the column of the table in it")
        return {row["name"]: {key: row.get(key) or "" for key in ("family", "title", "layer")} for row in rows}


def _batches(
    source: Source, spec: TableSpec, party: str, columns: tuple[str, ...], against: Source | None, earlier: set[str]
) -> Iterator[tuple[Table, Table | None]]:
    """Some columns at a time, of the table and of the one before."""
    for first in range(0, len(columns), AT_A_TIME):
        chosen = columns[first : first + AT_A_TIME]
        table = read_table(source, spec.model_copy(update={"columns": chosen}), party)
        known = tuple(name for name in chosen if name in earlier)
        before = against and known and read_table(against, spec.model_copy(update={"columns": known}), party)
        yield table, before or None


def _entry(column: Column, table: Table, before: Column | None, reading: str, words: dict[str, str]) -> Entry:
    values, there = _values(column), _there(column)
    distinct = len(np.unique(values[there])) if there.any() else 0
    return Entry(
        column.name, column.kind, round(float(there.mean()) if table.rows else 0.0, 4), distinct, reading,
        iv=_iv(values, there, table.label), drift=None if before is None else _drift(before, column), **words,
    )  # fmt: skip


def _values(column: Column) -> F64:
    return column.numbers if column.kind == "number" else column.codes.astype(np.float64)


def _there(column: Column) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return ~np.isnan(column.numbers) if column.kind == "number" else column.codes >= 0


def _binned(values: F64, there: Any, edges: F64) -> I64:
    """Bins of values by edges, and one for missing values, the last."""
    bins = np.searchsorted(edges, values, "right").astype(np.int64)
    return np.where(there, bins, len(edges) + 1)


def _edges(values: F64) -> F64:
    """At most nine edges of ten groups of equal size; of few values, one between each two."""
    known = np.unique(values)
    if len(known) <= _GROUPS:
        return known[1:].astype(np.float64)
    return np.unique(np.quantile(values, np.linspace(0, 1, _GROUPS + 1)[1:-1]))


def _iv(values: F64, there: Any, label: F64 | None) -> float | None:
    """Information value: the sum over bins of (share of goods - share of bads) times their weight of evidence."""
    if label is None or not there.any() or not np.isin(label, (0, 1)).all():
        return None
    edges = _edges(values[there])
    bins = _binned(values, there, edges)
    goods, bads = (np.bincount(bins[label == of], minlength=len(edges) + 2).astype(float) for of in (0, 1))
    used = (goods + bads) > 0
    if not goods.sum() or not bads.sum():
        return None
    good, bad = (np.maximum(counts[used], _EMPTY) / counts.sum() for counts in (goods, bads))
    return round(float(((good - bad) * np.log(good / bad)).sum()), 4)


def _drift(before: Column, now: Column) -> float | None:
    """Stability index of a column against an earlier one, over the earlier one's groups; None of another kind."""
    if before.kind != now.kind or not _there(before).any():
        return None
    then_values, now_values = _values(before), _values(now)
    if before.kind == "category":  # codes of two tables are comparable by their names alone
        place = {name: k for k, name in enumerate(before.categories)}
        codes = np.array([place.get(name, len(place)) for name in (*now.categories, "")], dtype=np.float64)
        now_values = codes[np.where(_there(now), now.codes, -1)]
        edges = np.arange(1, len(place) + 1, dtype=np.float64)
    else:
        edges = _edges(then_values[_there(before)])
    counts = [
        np.bincount(_binned(values, there, edges), minlength=len(edges) + 2).astype(float)
        for values, there in ((then_values, _there(before)), (now_values, _there(now)))
    ]
    used = (counts[0] + counts[1]) > 0
    then, later = (np.maximum(one[used], _EMPTY) / max(1.0, one.sum()) for one in counts)
    return round(float(((later - then) * np.log(later / then)).sum()), 4)
