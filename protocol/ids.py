"""Ids: normalised the same way at every party, so that two files that mean the same rows agree.

Text is brought to unicode NFKC and trimmed; a whole number is written in decimal digits, whether its column is
of integers, of floats or of text. Leading zeros of text are kept: they may mean something. Ids of several columns
are joined by `|`, a `|` or backslash inside one escaped by a backslash. Rows are always put in order of id, by
the bytes of its UTF-8 form, so that no seeded draw depends on the order of a file.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from protocol.errors import DataError
from protocol.messages import I64

_SHOWN = 5


def normalise_ids(columns: Sequence[Sequence[Any]], party: str, where: str) -> list[bytes]:
    """One id a row from one or several columns of text or numbers (None = null).

    party, where: for the sentence ("telecom", "calls.csv").
    Raises: DataError: an id is null, or occurs twice; positions are named (from 1), ids never.
    """
    parts = [[_normal(value) for value in column] for column in columns]
    null = [row + 1 for row, values in enumerate(zip(*parts, strict=True)) if None in values]
    if null:
        raise DataError(
            party, f"{_count(null, 'null id')} in {where}, at {_places(null)}", "fill them in or drop the rows"
        )
    if len(parts) == 1:
        ids = [str(value).encode() for value in parts[0]]
    else:
        ids = ["|".join(_escaped(value) for value in values).encode() for values in zip(*parts, strict=True)]
    _require_unique(ids, party, where)
    return ids


def id_order(ids: Sequence[bytes]) -> I64:
    """The rows in order of id, shape (n,)."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)


def _normal(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    text = value if isinstance(value, str) else str(value)
    text = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()
    return text or None


def _escaped(value: str | None) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|")


def _require_unique(ids: Sequence[bytes], party: str, where: str) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: set[bytes] = set()
    twice = []
    for row, value in enumerate(ids):
        if value in seen:
            twice.append(row + 1)
        seen.add(value)
    raise DataError(party, f"{_count(twice, 'duplicate id')} in {where}, at {_places(twice)}", "keep one row an id")


def _count(rows: Sequence[int], thing: str) -> str:
    return f"{len(rows)} {thing}{'' if len(rows) == 1 else 's'}"


def _places(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:_SHOWN])
    return f"row{'' if len(rows) == 1 else 's'} {shown}{' ...' if len(rows) > _SHOWN else ''}"
