"""Files seen by DuckDB: the types of their columns, ids kept as text, text sentinels read as nulls.

A node that reads its table and the laboratory that deals one out see a file through the same eyes, so that one
file means one table.
"""

import datetime as dt
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from protocol.errors import DataError
from protocol.table.broken_csv import broken_line, opened
from protocol.table.folders import files_of, is_folder, partitions
from protocol.table.headers import csv_header, parquet_header, require_distinct
from protocol.table.one_file import ALONE, literal
from protocol.table.opening import require_header_first
from protocol.table.spec import Sentinel, Source

_FORM: Final = f"""header = true, quote = '"', comment = '', {ALONE}"""
"""A CSV file as RFC 4180 has it, but for what parts its fields: a lone ' or # among values begins nothing."""
_BETWEEN_FIELDS: Final = frozenset('",;\t|\r\n')
"""DuckDB takes no null with one of these. In a column of text it is a sentinel all the same."""
_KIND_OF_ERROR: Final = re.compile(r"^([A-Z][A-Za-z]* )+Error: ")
_SAMPLE: Final = 2000
"""Rows that rule out most columns of text as columns of numbers."""
_COLUMNS_AT_ONCE: Final = 1000
"""Columns of which one statement counts; a statement over all of 7,000 takes DuckDB minutes to plan."""
_FEW_COLUMNS: Final = 200
_INTEGERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_FLOATS: Final = ("FLOAT", "DOUBLE")
_NUMBERS: Final = frozenset((*_INTEGERS, *(f"U{kind}" for kind in _INTEGERS), *_FLOATS, "BOOLEAN"))


class Scan:
    """One file, made plain (`opening.made_plain`). types: DuckDB's, by column, in the file's order.

    relation: what to select from.

    raw: a CSV's values as they are written, all text; "" for Parquet.

    ids: columns read as text, or their leading zeros are lost; texts: others that are read as text.
    missing: sentinels; text ones become nulls, as blanks always do.
    Raises: DataError: the file is no table.
    """

    def __init__(
        self, base: duckdb.DuckDBPyConnection, source: Source, ids: Collection[str], missing: Sequence[Sentinel],
        party: str, texts: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._base, self._source, self._missing, self._party = base, source, missing, party
        self._described: dict[str, dict[str, str]] = {}
        base.execute("SET TimeZone = 'UTC'")
        path = text(literal(source.path))
        self._files = files_of(source.path, party) if is_folder(source.path) else []
        if source.kind == "csv":
            require_header_first(source.path, tuple(ids), party)
        try:
            self.raw = f"read_csv({path}, {_FORM}, all_varchar = true)" if source.kind == "csv" else ""
            self.relation = self._typed(path, (*ids, *texts)) if self.raw else self._parquet(path)
            self.types = self._describe(self.relation)
        except duckdb.Error as error:
            raise self.unreadable(error) from None
        if not set(ids) <= self.types.keys():
            self._refuse_broken()

    def _parquet(self, path: str) -> str:
        """What to select from: one file as it is, or a folder of files with the columns that its folders name."""
        if not self._files:
            return f"read_parquet({path}, {ALONE})"
        listed = ", ".join(text(literal(file)) for file in self._files)
        return f"read_parquet([{listed}], hive_partitioning = true, union_by_name = true)"

    def unreadable(self, error: duckdb.Error) -> DataError:
        """What an error of DuckDB is called in a sentence; values that it quotes are left out."""
        self._refuse_broken()
        said = str(error)
        if "utf-8" in said or "Invalid unicode" in said:
            return DataError(self._party, f"{self._source.path.name} is not UTF-8 text", "save it as UTF-8")
        if "Maximum line size" in said:
            thing = f"{self._source.path.name} cannot be read: it has a line of more than 2,000,000 bytes"
            return DataError(self._party, thing, "shorten or drop it")
        reason = re.split(r"[\"'`\n]|: /", _KIND_OF_ERROR.sub("", said), maxsplit=1)[0].strip()[:160]
        return DataError(self._party, f"{self._source.path.name} cannot be read: {reason}", "give a valid table")

    def require_distinct(self, used: Collection[str] | None) -> None:
        """Raises: DataError: a column that is used, of all if None, has not a name of its own."""
        path = self._source.path
        if self._files:
            header = [*parquet_header(self._base, self._files[0]), *partitions(path, self._files)]
        else:
            header = csv_header(path) if self.raw else parquet_header(self._base, path)
        named = [name for name in header if name]
        require_distinct(header, named if used is None else used, self._party, path.name)

    @property
    def snapshot(self) -> dt.date | None:
        """The day on which the records were drawn: as given, or the Parquet file's key `snapshot`; None if unknown.

        Raises: DataError: the file's own is no date.
        """
        if self._source.snapshot or self.raw or self._files:
            return self._source.snapshot or None
        query = "SELECT value FROM parquet_kv_metadata(?) WHERE key = 'snapshot'"
        found = self._base.execute(query, [literal(self._source.path)]).fetchone()
        try:
            return dt.date.fromisoformat(bytes(found[0]).decode()[:10]) if found else None
        except ValueError:
            thing = f"{self._source.path.name} declares a snapshot that is no date"
            raise DataError(self._party, thing, "write it as YYYY-MM-DD") from None

    def _refuse_broken(self) -> None:
        """Where DuckDB did not see the table that the user means, a broken line is the likeliest cause.

        Raises: DataError: a CSV file has one. Its line is named, and nothing of its content.
        """
        broken = broken_line(self._source.path) if self._source.kind == "csv" else ""
        if broken:
            raise DataError(
                self._party, f"{self._source.path.name} cannot be read: {broken}", "correct or drop the line"
            ) from None

    def sentinels(
        self, columns: Collection[str], loaded: Iterable[tuple[str, Collection[str]]] | None = None
    ) -> dict[str, int]:
        """Occurrences of sentinels in these columns, where there are any; blanks are not counted.

        loaded: tables of DuckDB that hold these columns, one after another; without it the file is read.
        """
        found = dict[str, int]()
        for table, some in [(self.relation, columns)] if loaded is None else loaded:
            found |= self._count(table, {c: self._codes(c) for c in some})
        texts = _any_of(sorted(self._nulls - {""})) if self.raw else ""
        if texts:
            for column, count in self._count_texts(columns, texts).items():
                found[column] = found.get(column, 0) + count
        return {column: count for column, count in found.items() if count}

    def _count_texts(self, columns: Collection[str], test: str) -> dict[str, int]:
        """How often a test holds of what is written in the columns of a CSV file."""
        if len(columns) <= _FEW_COLUMNS:
            return self._count(self.raw, dict.fromkeys(columns, test))
        # One pass over the file and a plan of one line, where a test a column takes minutes.
        listed = ", ".join(map(quoted, columns))
        cells = f"UNPIVOT (SELECT {listed} FROM {self.raw}) ON COLUMNS(*) INTO NAME c VALUE v"
        rows = self._base.sql(f"SELECT c, count(*) FROM ({cells}) WHERE v {test} GROUP BY c").fetchall()
        return {str(column): int(count) for column, count in rows}

    @property
    def _nulls(self) -> set[str]:
        """Texts that a CSV's values are nulls by."""
        return {"", *(s for s in self._missing if isinstance(s, str) and not _BETWEEN_FIELDS & set(s))}

    def _typed(self, path: str, ids: Collection[str]) -> str:
        nulls = ", ".join(map(text, sorted(self._nulls)))
        kept = {c: "VARCHAR" for c in self._describe(self.raw) if c in ids}
        read = f"read_csv({path}, {_FORM}, sample_size = -1, nullstr = [{nulls}]"
        plain, comma = f"{read}{_types(kept)})", f"{read}{_types(kept)}, decimal_separator = ',')"
        if self._decimal_comma(path) and self._texts(comma) < self._texts(plain):
            return comma
        texts = [c for c, kind in self._describe(plain).items() if kind == "VARCHAR" and c not in ids]
        untyped = f"read_csv({path}, {_FORM}, all_varchar = true, nullstr = [{nulls}])"  # quicker to read by far
        kept |= dict.fromkeys(self._not_finite(untyped, texts), "DOUBLE")
        return f"{read}{_types(kept)})"

    def _not_finite(self, relation: str, texts: Sequence[str]) -> list[str]:
        """The columns that DuckDB takes for text only because of inf or nan among their numbers."""
        numbers = "coalesce(bool_and(TRY_CAST({0} AS DOUBLE) IS NOT NULL OR {0} IS NULL), true)"
        spelt = "lower(trim({0}, ' +-')) IN ('inf', 'infinity', 'nan')"
        likely = self._all_hold(f"(SELECT * FROM {relation} LIMIT {_SAMPLE})", texts, numbers)
        return self._all_hold(relation, likely, f"{numbers} AND coalesce(bool_or({spelt}), false)")

    def _all_hold(self, relation: str, columns: Sequence[str], test: str) -> list[str]:
        """The columns for which an aggregate holds. test: in SQL, {0} the column."""
        found: list[bool] = []
        for first in range(0, len(columns), _COLUMNS_AT_ONCE):
            some = columns[first : first + _COLUMNS_AT_ONCE]
            tests = ", ".join(test.format(quoted(c)) for c in some)
            (row,) = self._base.sql(f"SELECT {tests} FROM {relation}").fetchall()
            found += row
        return [c for c, yes in zip(columns, found, strict=True) if yes]

    def _decimal_comma(self, path: str) -> bool:
        """Whether commas may stand in numbers: only where they do not stand between fields."""
        with suppress(OSError, EOFError, UnicodeError), opened(self._source.path) as raw:
            if not set(b";\t|") & set(raw.readline()):
                return False  # none of them parts the fields of a header that has none
        ((delimiter,),) = self._base.sql(f"SELECT Delimiter FROM sniff_csv({path}, {_FORM})").fetchall()
        return delimiter in (";", "\t", "|")

    def _texts(self, relation: str) -> int:
        return list(self._describe(relation).values()).count("VARCHAR")

    def _describe(self, relation: str) -> dict[str, str]:
        """Types by column; asked once a relation, since DuckDB reads a whole CSV file to tell them."""
        if relation not in self._described:
            rows = self._base.sql(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            self._described[relation] = {row[0]: row[1] for row in rows}
        return self._described[relation]

    def _codes(self, column: str) -> str:
        """A test of one typed column for sentinels, without its name in front."""
        if is_number(self.types[column]):
            return _any_of([s for s in self._missing if not isinstance(s, str) and isfinite(s)])
        return _any_of(sorted(sentinel_texts(self._missing) - {""}))

    def _count(self, relation: str, tests: dict[str, str]) -> dict[str, int]:
        # Not `count(*) FILTER`: each such aggregate has a copy of every column of the statement in
        # memory, 24 GB for 5,000 columns.
        counted = [f"count(CASE WHEN {self._comparable(c)} {test} THEN 1 END)" for c, test in tests.items() if test]
        found: list[int] = []
        for first in range(0, len(counted), _COLUMNS_AT_ONCE):
            select = ", ".join(counted[first : first + _COLUMNS_AT_ONCE])
            (row,) = self._base.sql(f"SELECT {select} FROM {relation}").fetchall()
            found += map(int, row)
        return dict(zip((c for c, test in tests.items() if test), found, strict=True))

    def _comparable(self, column: str) -> str:
        return quoted(column) if is_number(self.types[column]) else as_text(column)


def quoted(name: str) -> str:
    """A column name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def as_text(column: str) -> str:
    """A column as text, in SQL."""
    return f"CAST({quoted(column)} AS VARCHAR)"


def id_text(column: str, kind: str) -> str:
    """An id column in SQL, so that dates and wide numbers keep all their digits. Floats stay what they are."""
    return quoted(column) if kind in _FLOATS else as_text(column)


def is_number(kind: str) -> bool:
    """Whether columns of this type of DuckDB are numbers to a model; booleans and decimals are."""
    return kind in _NUMBERS or kind.startswith("DECIMAL")


def is_date(kind: str) -> bool:
    """Whether columns of this type of DuckDB are dates or moments."""
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def is_text(kind: str) -> bool:
    """Whether columns of this type of DuckDB are text, which may stand for numbers or dates."""
    return kind == "VARCHAR" or kind.startswith("ENUM")


def sentinel_texts(missing: Sequence[Sentinel]) -> set[str]:
    """Sentinels as they stand in a column of text: -1.0 also as -1."""
    whole = {str(int(s)) for s in missing if isinstance(s, float) and s.is_integer()}
    return whole | {str(s) for s in missing}


def values_of(base: duckdb.DuckDBPyConnection, query: str) -> Any:
    """The only column of a query, shape (n,): floats with nan where null, anything else with None."""
    (values,) = base.sql(query).fetchnumpy().values()
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    objects: npt.NDArray[np.object_] = np.ma.getdata(values).astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return objects


def id_values(base: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    """The ids that a query of one column gives, n of them. Single floats stay so: they blur earlier than doubles."""
    values = values_of(base, query)
    return list(values) if values.dtype == np.float32 else list(values.tolist())


def _types(given: dict[str, str]) -> str:
    """The types of some columns, as `read_csv` takes them."""
    listed = ", ".join(f"{text(column)}: '{kind}'" for column, kind in given.items())
    return f", types = {{{listed}}}" if given else ""


def _any_of(values: Sequence[Sentinel]) -> str:
    listed = ", ".join(text(v) if isinstance(v, str) else repr(v) for v in values)
    return f"IN ({listed})" if listed else ""
