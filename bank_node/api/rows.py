"""Rows as people have them in Python, brought to the one form that a node reads: a file.

What is not a file yet becomes one, for the time of a call, in the node's own state folder; so that values are typed
and cleaned by the one reader that every node uses, and a table means the same wherever it comes from.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.files import own_folder
from protocol.table import Source, file_sha256
from protocol.table.one_file import kind_of
from protocol.table.scan import quoted, text

Rows = str | Path | Mapping[str, Any] | np.ndarray[Any, Any] | Any
"""A path to a CSV or Parquet file; columns by name; a structured array; or a DataFrame, of pandas or another library
that has `columns` and gives each of them as `to_numpy()`."""


@contextmanager
def as_source(rows: Rows, folder: Path, party: str) -> Iterator[Source]:
    """The rows as a file, with its checksum. folder: where one is made, and gone at the end.

    Raises: UsageError: no such file. DataError: columns of different lengths, or nothing that is rows.
    """
    if isinstance(rows, str | Path):
        path = Path(rows)
        yield Source(kind=kind_of(path), path=path, sha256=file_sha256(path, party))
        return
    with TemporaryDirectory(dir=own_folder(folder)) as made:
        path = Path(made) / "rows.parquet"
        write_rows(rows, path, party)
        yield Source(kind="parquet", path=path, sha256=file_sha256(path, party))


def write_rows(rows: Rows, path: Path, party: str) -> None:
    """Write rows that are no file yet as Parquet. Raises: DataError."""
    given = rows if type(rows).__module__.split(".")[0] == "pandas" else _columns(rows, party)
    with duckdb.connect() as base:
        try:
            base.register("given", given)
            listed = ", ".join(quoted(str(name)) for name in base.table("given").columns)
            base.execute(f"COPY (SELECT {listed} FROM given) TO {text(str(path))} (FORMAT parquet)")
        except (duckdb.NotImplementedException, duckdb.InvalidInputException, duckdb.BinderException):
            raise DataError(
                party, "the rows given have columns of values that are no table", "give one value a row and column"
            ) from None
    path.chmod(0o600)


def _columns(rows: Rows, party: str) -> dict[str, Any]:
    """Arrays by name, of one length."""
    columns = {name: _array(values) for name, values in _named(rows, party).items()}
    lengths = {values.shape for values in columns.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise DataError(party, "the rows given have columns of different lengths, or none", "give one value a row")
    return columns


def _named(rows: Any, party: str) -> dict[str, Any]:
    if isinstance(rows, Mapping):
        return {str(name): values for name, values in rows.items()}
    if isinstance(rows, np.ndarray) and rows.dtype.names:
        return {name: rows[name] for name in rows.dtype.names}
    if (names := getattr(rows, "columns", None)) is not None:
        return {str(name): rows[name].to_numpy() for name in names}
    thing = f"cannot take rows from {type(rows).__name__}, since they have no column names"
    raise DataError(party, thing, "give a path, a dictionary of columns, a structured array or a DataFrame")


def _array(values: Any) -> Any:
    """An array of a type that DuckDB takes: dates to the microsecond, text as objects, bytes as text."""
    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8").astype(object)
    if isinstance(values, list | tuple) and array.dtype.kind == "U":
        return np.array(values, dtype=object)  # NumPy would have made the text "None" of a None
    return array.astype(object) if array.dtype.kind == "U" else np.ascontiguousarray(array)
