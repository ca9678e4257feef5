"""Features: what becomes of a column that a model may use.

Numbers, booleans and decimals become float64, nan where missing; text becomes codes into sorted categories, -1
where missing; a date becomes its hour (if it has one) and its day of the week. Sentinel values count as missing.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from protocol.errors import DataError, nearest
from protocol.messages import I64
from protocol.table.loaded import Loaded
from protocol.table.scan import as_text, quoted, sentinel_texts
from protocol.table.table import Column

_MANY_CATEGORIES: Final = 50


def features_of(loaded: Loaded, name: str, order: I64) -> list[Column]:
    """The features that a column becomes, in the order given."""
    if loaded.holds_dates(name):
        return _date_parts(loaded, name, order)
    if loaded.holds_categories(name):
        return [_category(loaded, name, order)]
    return [Column(name, "number", numbers=loaded.some_numbers(name, order))]


def names_of_features(loaded: Loaded, name: str, relation: str) -> list[str]:
    """What they are called: the column's name, or names of parts of a date. relation: where its values lie."""
    if not loaded.holds_dates(name):
        return [name]
    hour = f"date_part('hour', CAST({quoted(name)} AS TIMESTAMP)) > 0"
    ((timed,),) = loaded.base.sql(f"SELECT count(*) FROM {relation} WHERE {hour}").fetchall()
    return [*([f"{name}.hour"] if timed else []), f"{name}.weekday"]


def texts_that_name_rows(loaded: Loaded, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns that are text and name rows, without reading the others."""
    texts = [c for c in names if loaded.holds_categories(c)]
    if not texts:
        return ()
    loaded.load(texts)
    order = np.arange(loaded.rows)
    return tuple(name for name in texts if names_rows(_category(loaded, name, order)))


def names_rows(column: Column) -> bool:
    """Whether it is text of more than 50 categories, and of more than half as many as rows have one."""
    many = len(column.categories) > _MANY_CATEGORIES and not column.ordered
    return many and len(column.categories) > int((column.codes >= 0).sum()) / 2


def emptied(column: Column) -> Column:
    """The column with all its values missing."""
    return Column(column.name, "category", codes=np.full_like(column.codes, -1))


def require_usable(loaded: Loaded, columns: Sequence[Column], unique: Sequence[str]) -> None:
    """Raises: DataError: no column varies. unique: columns that were emptied."""
    if any(_varies(column) for column in columns):
        return
    why, remedy = "", "give a column that varies"
    if unique:
        why = f": {unique[0]!r} is text of which most values occur once"
        remedy += '; words among numbers that mean "not there" belong under missing'
    raise DataError(loaded.party, f"{loaded.name} has no usable column{why}", remedy)


def _varies(column: Column) -> bool:
    """Whether it has two values, or one that is missing in some rows."""
    every = column.codes if column.kind == "category" else column.numbers
    present = every[every >= 0] if column.kind == "category" else every[~np.isnan(every)]
    return bool(present.size and (present.size < every.size or (present != present[0]).any()))


def _category(loaded: Loaded, name: str, order: I64) -> Column:
    texts = loaded.values(as_text(name)).tolist()
    found, grades = set(texts) - sentinel_texts(loaded.spec.missing) - {None}, loaded.spec.ordered.get(name)
    categories = _in_order(found, grades)
    code_of = {category: code for code, category in enumerate(categories)}
    codes = np.fromiter((code_of.get(t, -1) for t in texts), dtype=np.int32, count=len(texts))
    return Column(name, "category", codes=codes[order], categories=tuple(categories), ordered=grades is not None)


def _in_order(found: set[str], grades: Literal["by_name"] | tuple[str, ...] | None) -> list[str]:
    """The categories of a column. Grades are listed, or sorted with the numbers in their names as numbers."""
    if grades is None:
        return sorted(found)
    return sorted(found, key=_natural) if grades == "by_name" else list(grades)


def _natural(name: str) -> tuple[list[str | int], str]:
    """By what a grade is sorted: words and numbers alternate, so that "B2" stands before "B10"."""
    words = re.split(r"([0-9]+)", name)
    return [int(word) if k % 2 else word for k, word in enumerate(words)], name


def require_graded(loaded: Loaded, column: Column) -> None:
    """Raises: DataError: a column of grades holds a value that is not listed."""
    grades = loaded.spec.ordered.get(column.name)
    if grades is None or grades == "by_name":
        return
    named = sentinel_texts(loaded.spec.missing) | set(grades)
    strange = sorted(t for t in set(loaded.values(as_text(column.name)).tolist()) if t is not None and t not in named)
    if strange:
        thing = f"holds {strange[0]!r}, which is not among its ordered values{nearest(strange[0], list(grades))}"
        raise loaded.wrong(column.name, thing, "list it under ordered, or under missing")


def _date_parts(loaded: Loaded, name: str, order: I64) -> list[Column]:
    moment = f"CAST({quoted(name)} AS TIMESTAMP)"
    expressions = {"hour": f"date_part('hour', {moment})", "weekday": f"isodow({moment})"}
    parts = {}
    for made in names_of_features(loaded, name, "t"):
        values = loaded.values(f"CAST({expressions[made.rpartition('.')[2]]} AS DOUBLE)")
        parts[made] = np.asarray(values, dtype=np.float64)[order]
    return [Column(made, "number", numbers=numbers) for made, numbers in parts.items()]
