"""Where a CSV file is broken: the line, and what is wrong with it, but nothing of what it says.

Only looked for when DuckDB could not read the file, since it is slower: Python's `csv` reads RFC 4180.
"""

import csv
import gzip
import io
from pathlib import Path
from typing import IO, Final

_DELIMITERS: Final = ",;\t|"
_FIELD_LIMIT: Final = 1 << 24


def broken_line(path: Path) -> str:
    """Such as "line 7 has 4 fields, its header 3"; "" if every line has as many fields as the first one."""
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        with opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            return _first_broken(file)
    except (csv.Error, OSError, EOFError, UnicodeError):
        return ""


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is packed."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def delimiter_of(first: str) -> str:
    """What most likely parts the fields of a first line."""
    return max(_DELIMITERS, key=first.count)


def _first_broken(file: io.TextIOWrapper) -> str:
    first = file.readline()
    if not first.strip():
        return "its first line is empty"
    delimiter = delimiter_of(first)
    (header,) = csv.reader([first], delimiter=delimiter)
    rows = csv.reader(file, delimiter=delimiter)
    begins = 2
    for row in rows:
        if row and len(row) != len(header):
            return f"line {begins} has {len(row)} {'field' if len(row) == 1 else 'fields'}, its header {len(header)}"
        begins = rows.line_num + 2
    return ""
