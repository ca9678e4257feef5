"""Ids: normalised the same way at every party, so that two files that mean the same rows agree.

Text is brought to unicode NFKC and trimmed; a whole number is written in decimal digits, whether its column is
of integers, of floats or of text ("1001.0", as a column of numbers with gaps is often written, is 1001). Leading
zeros of text are kept: they may mean something, so that "007" and 7 are two ids. Ids of several columns
are joined by `|`, a `|` or backslash inside one escaped by a backslash. Rows are always put in order of id, by
the bytes of its UTF-8 form, so that no seeded draw depends on the order of a file.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from protocol.errors import DataError
from protocol.messages import I64

_SHOWN: Final = 5
_WHOLE: Final = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
"""A whole number with a decimal point. A number padded with zeros is not one: it is text."""


def normalise_ids(
    columns: Sequence[Sequence[Any]], party: str, where: str, repeated: bool = False, first: int = 0
) -> list[bytes]:
    """One id a row from one or several columns of text or numbers (None = null).

    party, where: for the sentence ("telecom", "calls.csv"). repeated: an id may occur in several rows. first: rows of
    the file before these.
    Raises: DataError: no ids; an id is null or blank, too large a float, or occurs twice; positions are named (from 1),
        ids never.
    """
    parts = [[_normal(value) for value in column] for column in columns]
    if not parts or not parts[0]:
        raise DataError(party, f"{where} has no ids", "give a table with rows and an id column")
    for column in columns:
        _require_exact(column, party, where, first)
    null = [first + row + 1 for row, values in enumerate(zip(*parts, strict=True)) if None in values]
    if null:
        raise DataError(
            party, f"{_count(null, 'null id')} in {where}, at {_places(null)}", "fill them in or drop the rows"
        )
    if len(parts) == 1:
        ids = [str(value).encode() for value in parts[0]]
    else:
        ids = ["|".join(_escaped(value) for value in values).encode() for values in zip(*parts, strict=True)]
    if not repeated:
        _require_unique(ids, party, where, first)
    return ids


def id_order(ids: Sequence[bytes]) -> I64:
    """The rows in order of id, shape (n,)."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)


def _normal(value: Any) -> str | None:
    if type(value) is str and value.isascii() and value.isalnum():
        return value  # as most ids are; none of what follows would change it
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    text = str(value)
    text = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()
    whole = _WHOLE.fullmatch(text) if text.endswith("0") else None
    return (whole[1] if whole else text) or None


def _escaped(value: str | None) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|")


def duplicate_ids(rows: Sequence[int], party: str, where: str) -> DataError:
    """The error of ids that occur twice. rows: where they occur again, from 1."""
    thing = f"{_count(rows, 'duplicate id')} in {where}, at {_places(rows)}"
    return DataError(party, thing, "keep one row an id")


def _require_exact(column: Sequence[Any], party: str, where: str, first: int) -> None:
    """Two whole numbers may be one float, and then two customers would be one."""
    if not isinstance(column[0], float | np.floating):
        return
    limit = 2**24 if isinstance(column[0], np.float32) else 2**53
    blurred = [first + row + 1 for row, value in enumerate(column) if value is not None and abs(value) >= limit]
    if blurred:
        thing = f"{_count(blurred, 'id')} in {where}, at {_places(blurred)}, are floats too large to tell apart"
        raise DataError(party, thing, "write the id column as whole numbers or as text")


def _require_unique(ids: Sequence[bytes], party: str, where: str, first: int) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: set[bytes] = set()
    twice = []
    for row, value in enumerate(ids):
        if value in seen:
            twice.append(first + row + 1)
        seen.add(value)
    raise duplicate_ids(twice, party, where)


def _count(rows: Sequence[int], thing: str) -> str:
    return f"{len(rows)} {thing}{'' if len(rows) == 1 else 's'}"


def _places(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:_SHOWN])
    return f"row{'' if len(rows) == 1 else 's'} {shown}{' ...' if len(rows) > _SHOWN else ''}"
