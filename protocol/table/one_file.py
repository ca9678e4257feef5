"""One file, as DuckDB must be told of it: by a path that is no pattern, and of the kind that it is said to be."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from protocol.errors import DataError
from protocol.table.spec import Kind

ALONE: Final = "hive_partitioning = false"
"""A folder such as `seed=7` says nothing of a column, or DuckDB would put it over the file's own."""
_PARQUET: Final = b"PAR1"
_WORKBOOKS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_NO_TEXT: Final = {
    b"\x1f\x8b": ("it is packed by gzip", "name it .csv.gz"),
    b"PK\x03\x04": ("it is a workbook or a zip archive", 'write kind = "xlsx", or save it as CSV or Parquet'),
    _PARQUET: ("it is a Parquet file", 'write kind = "parquet"'),
}
"""What begins files that people take for CSV; and what to do about it."""


def literal(path: Path) -> str:
    """A path to this very file: `*`, `?` and `[` of a pattern stand for themselves in brackets."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def kind_of(path: Path) -> Kind:
    """What a file is, where nobody has said so: by its name, or by how it begins."""
    if path.suffix.lower() in _WORKBOOKS:
        return "xlsx"
    if path.suffix.lower() == ".parquet":
        return "parquet"
    with suppress(OSError), path.open("rb") as file:
        return "parquet" if file.read(4) == _PARQUET else "csv"
    return "csv"


def require_kind(path: Path, kind: Kind, party: str) -> None:
    """Raises: DataError: the file's first bytes are those of another kind."""
    with path.open("rb") as file:
        first = file.read(4)
    if kind == "parquet" and first != _PARQUET:
        thing, remedy = "it is no Parquet file", 'give a valid table, or write kind = "csv"'
        raise DataError(party, f"{path.name} cannot be read: {thing}", remedy)
    for begins, (thing, remedy) in _NO_TEXT.items():
        if kind == "csv" and first.startswith(begins) and path.suffix.lower() != ".gz":
            raise DataError(party, f"{path.name} cannot be read: {thing}", remedy)
