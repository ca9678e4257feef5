"""The files of a run that hold scores, as tables in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from protocol.errors import UsageError
from protocol.table.one_file import ALONE, literal

_TYPES = {
    "id": "VARCHAR",
    "rung": "VARCHAR",
    "model": "VARCHAR",
    "label": "DOUBLE",
    "score": "DOUBLE",
}
_OPTIONAL = {"weight": "DOUBLE", "amount": "DOUBLE"}


def loaded(path: Path, by: Sequence[str] = ("part",)) -> duckdb.DuckDBPyConnection:
    """The file as a table in memory. by: the columns that say to what a row belongs."""
    if not path.is_file():
        raise UsageError("report", f"{path} is missing", "give the folder of a finished run")
    with path.open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    missing = [name for name in (*_TYPES, *by) if name not in header]
    if missing:
        raise UsageError("report", f"{path} lacks the column {missing[0]!r}", "score again with this version")
    known = _TYPES | _OPTIONAL
    types = {name: known.get(name, "DOUBLE" if name.startswith("score_") else "VARCHAR") for name in header}
    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = false")
    add_table(connection, "scores", path, types)
    return connection


def add_table(base: duckdb.DuckDBPyConnection, name: str, path: Path, types: Mapping[str, str]) -> None:
    """Another file as a table beside it. types: of its columns, all of them. Raises: duckdb.Error: it has others."""
    form = f"auto_detect = false, header = true, delim = ',', quote = '\"', columns = ?, {ALONE}"
    base.execute(f"CREATE TABLE {name} AS SELECT * FROM read_csv(?, {form})", [literal(path), dict(types)])
