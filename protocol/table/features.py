"""Features: what becomes of a column that a model may use.

Numbers, booleans and decimals become float64, nan where missing; text becomes codes into sorted categories, -1
where missing; a date becomes its hour (if it has one) and its day of the week. Sentinel values count as missing.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from protocol.errors import DataError
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
    many = len(column.categories) > _MANY_CATEGORIES
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
    categories = sorted(set(texts) - sentinel_texts(loaded.spec.missing) - {None})
    code_of = {category: code for code, category in enumerate(categories)}
    codes = np.fromiter((code_of.get(t, -1) for t in texts), dtype=np.int32, count=len(texts))
    return Column(name, "category", codes=codes[order], categories=tuple(categories))


def _date_parts(loaded: Loaded, name: str, order: I64) -> list[Column]:
    moment = f"CAST({quoted(name)} AS TIMESTAMP)"
    expressions = {"hour": f"date_part('hour', {moment})", "weekday": f"isodow({moment})"}
    parts = {}
    for made in names_of_features(loaded, name, "t"):
        values = loaded.values(f"CAST({expressions[made.rpartition('.')[2]]} AS DOUBLE)")
        parts[made] = np.asarray(values, dtype=np.float64)[order]
    return [Column(made, "number", numbers=numbers) for made, numbers in parts.items()]
