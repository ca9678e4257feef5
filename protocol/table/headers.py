"""Names of columns as a file has them: of two that differ at most in case, DuckDB renames the second."""

import csv
import io
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from protocol.errors import DataError
from protocol.table.broken_csv import delimiter_of, opened
from protocol.table.one_file import literal

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def csv_header(path: Path) -> list[str]:
    """The names in the first line, without the spaces around them; none where it cannot be read."""
    try:
        with opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            first = file.readline()
            return [name.strip() for name in next(csv.reader([first], delimiter=delimiter_of(first)), [])]
    except (csv.Error, OSError, EOFError, UnicodeError):
        return []


def parquet_header(base: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """The names of the columns, without those of their elements."""
    rows = base.execute("SELECT name, num_children FROM parquet_schema(?)", [literal(path)]).fetchall()
    names, inside = [], 0
    for name, children in rows[1:]:
        if not inside:
            names.append(name)
        inside = max(0, inside - 1) + (children or 0)
    return names


def require_distinct(header: Sequence[str], used: Iterable[str], party: str, where: str) -> None:
    """Raises: DataError: a column that is used is not the only one of its name, or but for the case of its letters."""
    named: dict[str, list[str]] = {}
    for other in header:
        named.setdefault(other.translate(_LOWER), []).append(other)
    for name in used:
        alike = named.get(name.translate(_LOWER), [])
        if len(alike) > 1:
            names = sorted(set(alike))
            differ = f"columns {' and '.join(map(repr, names))}, which differ in case only"
            thing = f"{len(alike)} columns named {name!r}" if len(names) == 1 else differ
            raise DataError(party, f"{where} has {thing}", "give each column a name of its own")
