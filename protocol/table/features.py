"""Features: what becomes of a column that a model may use.

Numbers, booleans and decimals become float64, nan where missing, and so does text that stands for numbers (texts.py);
other text becomes codes into sorted categories, -1 where missing. A moment becomes its hour and its day of the week, a
date without an hour the days before the row's as-of date, or before the newest one. Sentinel values count as missing.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocol.errors import DataError, nearest
from protocol.messages import I64
from protocol.table.cells import category_in, moments_in, part_in, parts_of
from protocol.table.loaded import Loaded
from protocol.table.notes import Note, note_of
from protocol.table.scan import as_text, quoted, sentinel_texts
from protocol.table.table import Column

_MANY_CATEGORIES: Final = 50
_COLUMNS_AT_ONCE: Final = 100
"""Columns of which one statement tells the range; its time grows with their square."""


def features_of(loaded: Loaded, name: str, order: I64) -> list[Column]:
    """The features that a column becomes, in the order given."""
    read = loaded.read(name).read
    if read.kind == "category":
        column = category_in(loaded.fetch(name), name, loaded.spec.missing, loaded.spec.ordered.get(name))
        return [replace(column, codes=column.codes[order])]
    if read.kind == "number":
        return [Column(name, "number", numbers=loaded.some_numbers(name, order))]
    moments = moments_in(loaded.fetch(name), name, loaded.types[name])
    as_of = loaded.as_of if loaded.spec.as_of else None
    return [
        Column(made, "number", numbers=part_in(moments, part, read, as_of)[order])
        for part, made in zip(parts_of(read), names_of_features(loaded, name), strict=True)
    ]


def names_of_features(loaded: Loaded, name: str) -> list[str]:
    """What they are called: the column's name, or names of parts of a date."""
    read = loaded.read(name).read
    return [f"{name}.{part}" for part in parts_of(read)] if read.kind in ("days", "moment") else [name]


def notes_on(loaded: Loaded, wanted: Sequence[str]) -> list[Note]:
    """What was read otherwise than it is written: of the file, and of columns of text or dates."""
    file = {"file": loaded.name, "encoding": loaded.encoding}
    notes = [] if loaded.encoding == "utf-8" else [Note("", "encoding", loaded.rows, file)]
    for name in (c for c in dict.fromkeys(wanted) if c in loaded.texts):
        found = loaded.read(name)
        rows = sum(loaded.counts(name).values()) - sum(found.missing.values())
        note = note_of(name, found.read, found.missing, rows, bool(loaded.spec.as_of))
        notes += [note] if note else []
    return notes


def note_on_feature(column: Column) -> Note | None:
    """Why no model can use a feature; None if one can."""
    present = _present(column)
    rows = len(column.codes) if column.kind == "category" else len(column.numbers)
    if names_rows(column):
        return Note(column.name, "unique", len(present))
    if not len(present):
        return Note(column.name, "empty", rows)
    return None if varies(column) else Note(column.name, "constant", rows)


def notes_on_numbers(loaded: Loaded, names: Sequence[str]) -> list[Note]:
    """Columns of numbers that no model can use, by what the file says of them, some columns at a time."""
    notes = []
    codes = ", ".join(repr(s) for s in loaded.spec.missing if not isinstance(s, str) and isfinite(s))
    for table, held in loaded.tables_of(names):
        for some in (held[k : k + _COLUMNS_AT_ONCE] for k in range(0, len(held), _COLUMNS_AT_ONCE)):
            parts = []
            for number in (f"CAST({quoted(name)} AS DOUBLE)" for name in some):
                # Not FILTER, which takes memory that grows with the square of the columns.
                there = f"isfinite({number}){f' AND {number} NOT IN ({codes})' if codes else ''}"
                value = f"CASE WHEN {there} THEN {number} END"
                parts.append(f"count({value}), min({value}) = max({value})")
            (found,) = loaded.base.sql(f"SELECT {', '.join(parts)} FROM {table}").fetchall()
            for name, present, alike in zip(some, found[::2], found[1::2], strict=True):
                if not present:
                    notes.append(Note(name, "empty", loaded.rows))
                elif alike and present == loaded.rows:
                    notes.append(Note(name, "constant", loaded.rows))
    return notes


def names_rows(column: Column) -> bool:
    """Whether it is text of more than 50 categories, and of more than half as many as rows have one."""
    many = len(column.categories) > _MANY_CATEGORIES and not column.ordered
    return many and len(column.categories) > int((column.codes >= 0).sum()) / 2


def emptied(column: Column) -> Column:
    """The column with all its values missing."""
    return Column(column.name, "category", codes=np.full_like(column.codes, -1))


def require_usable(loaded: Loaded, usable: Sequence[bool], unique: Sequence[str]) -> None:
    """Raises: DataError: no column is usable, of any there are; a bank may have labels alone. unique: emptied ones."""
    labels_alone = not usable and loaded.spec.label
    if labels_alone or any(usable):
        return
    why, remedy = "", "give a column that varies"
    if unique:
        why = f": {unique[0]!r} is text of which most values occur once"
        remedy += '; words among numbers that mean "not there" belong under missing'
    raise DataError(loaded.party, f"{loaded.name} has no usable column{why}", remedy)


def _present(column: Column) -> npt.NDArray[Any]:
    """Its values that are not missing."""
    if column.kind == "category":
        return column.codes[column.codes >= 0]
    return column.numbers[~np.isnan(column.numbers)]


def varies(column: Column) -> bool:
    """Whether it has two values, or one that is missing in some rows."""
    present, rows = _present(column), max(len(column.codes), len(column.numbers))
    return bool(present.size and (present.size < rows or (present != present[0]).any()))


def require_graded(loaded: Loaded, column: Column) -> None:
    """Raises: DataError: a column of grades holds a value that is not listed."""
    grades = loaded.spec.ordered.get(column.name)
    if grades is None or grades == "by_name":
        return
    named = sentinel_texts(loaded.spec.missing) | set(grades)
    strange = sorted(
        t for t in set(loaded.fetch(column.name)(as_text(column.name)).tolist()) if t is not None and t not in named
    )
    if strange:
        thing = f"holds {strange[0]!r}, which is not among its ordered values{nearest(strange[0], list(grades))}"
        raise loaded.wrong(column.name, thing, "list it under ordered, or under missing")
