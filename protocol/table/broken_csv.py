"""Where a CSV file is broken: the line, and what is wrong with it, but nothing of what it says.

Only looked for when DuckDB could not read the file, since it is slower: Python's `csv` reads RFC 4180.
"""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import IO, Final

_DELIMITERS: Final = ",;\t|"
_LOOKED_AT: Final = 30
"""Lines among which a header is looked for, below a title."""
_FEWEST: Final = 3
_FIELD_LIMIT: Final = 1 << 24


def broken_line(path: Path) -> str:
    """Such as "line 7 has 4 fields, its header 3"; "" if every line has as many fields as the first one."""
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        with opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            return _first_broken(file)
    except (csv.Error, OSError, EOFError, UnicodeError):
        return ""


def title_above(path: Path, names: Collection[str]) -> int:
    """The line of the header, where lines of a title are above it; 0 where there are none. names: of id columns.

    The header is a line with all these names. Without them, a first line that fills at most half of the fields that
    most lines have is a title, and the first line that fills them is the header.
    """
    try:
        with opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            lines = list(islice(file, _LOOKED_AT))
        delimiter = delimiter_of("".join(lines[1:]) or "")
        rows = list(csv.reader(lines, delimiter=delimiter))
    except (csv.Error, OSError, EOFError, UnicodeError):
        return 0
    filled = [[field.strip() for field in row if field.strip()] for row in rows]
    if len(filled) < _FEWEST or not filled[0] or (names and set(names) <= set(filled[0])):
        return 0
    named = next((k for k, row in enumerate(filled) if names and set(names) <= set(row)), 0)
    ((usual, _),) = Counter(len(row) for row in filled[1:]).most_common(1)
    if named or len(filled[0]) > usual / 2:
        return named + 1 if named else 0
    return 1 + next((k for k, row in enumerate(filled) if len(row) >= usual), -1)


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
