"""Files made plain before DuckDB sees them: a CSV in UTF-8 without NUL bytes, or Parquet.

A CSV in another encoding, and a sheet of a workbook, are written once as UTF-8 CSV into a temporary folder that only
this user can read; it is gone when the table is read. DuckDB itself needs an extension for GB18030, which an
air-gapped machine cannot fetch.
"""

import codecs
import csv
import datetime as dt
import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from protocol.errors import DataError, UsageError, nearest
from protocol.table.broken_csv import opened, title_above
from protocol.table.folders import files_of, is_folder
from protocol.table.one_file import require_kind
from protocol.table.spec import Source

_CHUNK: Final = 1 << 22
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NAME_IT: Final = 'name its encoding in the source, such as encoding = "latin-1", or save it as UTF-8'
_COMMON_SHARE: Final = 0.5
"""Of the characters of GB18030 text: this many are in GB 2312. Western text misread as GB18030 has almost none."""


@contextmanager
def made_plain(source: Source, party: str) -> Iterator[Source]:
    """The source as DuckDB reads it. Its `encoding` is the one that was found, "utf-8" where nothing was done.

    Raises: DataError: it is of another kind, in no encoding that is known, or has a NUL byte. UsageError: it is a
        workbook, and the package that reads workbooks is not installed.
    """
    for path in files_of(source.path, party) if is_folder(source.path) else [source.path]:
        require_kind(path, source.kind, party)
    if source.kind == "parquet":
        yield source.model_copy(update={"encoding": "utf-8"})
        return
    with tempfile.TemporaryDirectory(prefix="fedwarn-") as folder:
        plain = Path(folder) / f"{source.path.name.removesuffix('.gz')}"
        if source.kind == "xlsx":
            _write_sheet(source, plain, party)
            yield source.model_copy(update={"kind": "csv", "path": plain, "encoding": "utf-8"})
            return
        encoding = _encoding(source, party)
        if encoding != "utf-8":
            _write_as_utf8(source, encoding, plain, party)
        path = source.path if encoding == "utf-8" else plain
        yield source.model_copy(update={"path": path, "encoding": encoding})


def require_header_first(path: Path, names: tuple[str, ...], party: str) -> None:
    """Raises: DataError: lines above the header. names: of id columns."""
    line = title_above(path, names)
    if line:
        thing = f"{path.name} has a title above its header, which seems to be line {line}"
        above = "the line above it" if line == 2 else f"the {line - 1} lines above it"
        raise DataError(party, thing, f"drop {above}")


def _encoding(source: Source, party: str) -> str:
    """The encoding of a CSV: as declared, or found out. A file that cannot be unpacked is left to DuckDB to refuse."""
    try:
        with opened(source.path) as raw:
            marked = raw.read(2) in _BYTE_ORDER_MARKS
        if source.encoding != "auto":
            _require_decodable(source, source.encoding, party)
            return source.encoding
        if marked:
            return "utf-16"
        if _decodable(source.path, "utf-8", source.path.name, party):
            return "utf-8"
        if _decodable(source.path, "gb18030", source.path.name, party) and _is_chinese(source.path):
            return "gb18030"
    except (OSError, EOFError, zlib.error):
        return "utf-8"
    raise DataError(party, f"{source.path.name} is neither UTF-8 nor GB18030 text", _NAME_IT)


def _require_decodable(source: Source, encoding: str, party: str) -> None:
    if not _decodable(source.path, encoding, source.path.name, party):
        thing = f"{source.path.name} is not {encoding} text, as its source declares"
        raise DataError(party, thing, 'correct the encoding, or write "auto"')


def _decodable(path: Path, encoding: str, name: str, party: str) -> bool:
    """Whether all of a file is text of an encoding. Raises: DataError: a character is NUL; its line is named."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with opened(path) as raw:
        while chunk := raw.read(_CHUNK):
            try:
                text = decoder.decode(chunk)
            except UnicodeError:
                return False
            if "\0" in text:
                at = line + text[: text.index("\0")].count("\n")
                thing = f"{name} has a NUL byte in line {at}"
                raise DataError(party, thing, "write the file again, or drop the line: text has none")
            line += text.count("\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _is_chinese(path: Path) -> bool:
    """Whether most characters beyond ASCII at the beginning of a GB18030 file are common ones."""
    with opened(path) as raw:
        text = codecs.getincrementaldecoder("gb18030")().decode(raw.read(_CHUNK))
    wide = [character for character in text if ord(character) > 127]
    common = sum(bool(character.encode("gb2312", "ignore")) for character in wide)
    return common >= _COMMON_SHARE * len(wide)


def _write_as_utf8(source: Source, encoding: str, plain: Path, party: str) -> None:
    with (
        opened(source.path) as raw,
        io.TextIOWrapper(raw, encoding, newline="") as text,
        plain.open("w", encoding="utf-8", newline="") as out,
    ):
        while part := text.read(_CHUNK):
            if "\0" in part:
                raise DataError(party, f"{source.path.name} has NUL bytes", _NAME_IT)
            out.write(part)


def _write_sheet(source: Source, plain: Path, party: str) -> None:
    """A sheet as CSV: whole numbers without a decimal point, dates as YYYY-MM-DD, empty cells as nothing."""
    try:
        import python_calamine as calamine
    except ImportError:
        thing = f"{source.path.name} is a workbook, and the package python-calamine is not installed"
        raise UsageError(party, thing, "install it, or save the sheet as CSV") from None
    try:
        book = calamine.CalamineWorkbook.from_path(str(source.path))
    except calamine.CalamineError:
        raise DataError(party, f"{source.path.name} is no workbook that can be read", "save it as CSV") from None
    name = source.sheet or book.sheet_names[0]
    if name not in book.sheet_names:
        thing = f"{source.path.name} has no sheet {name!r}{nearest(name, book.sheet_names)}"
        raise DataError(party, thing, "correct sheet in the source")
    with plain.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerows([_cell(value) for value in row] for row in book.get_sheet_by_name(name).to_python())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 2**53  # a larger one keeps its point: as an id it is refused
        return str(int(value)) if whole else f"{value:.1f}" if value.is_integer() else repr(value)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(value)
