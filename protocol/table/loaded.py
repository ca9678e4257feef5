"""The columns of a file that are needed, held by DuckDB in the order of the file, and taken out one by one."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.cells import moments_in, numbers_in
from protocol.table.dates import Moments
from protocol.table.scan import (
    Scan,
    as_text,
    id_text,
    id_values,
    is_date,
    is_number,
    is_text,
    quoted,
    sentinel_texts,
    text,
    values_of,
)
from protocol.table.spec import Source, TableSpec
from protocol.table.texts import CATEGORY, FORMS, ReadAs, TextRead, left_over, may_be_missing, read_moments, read_text

NOTHING: Final[Mapping[str, ReadAs]] = MappingProxyType({})
_LARGE: Final = 1 << 28
"""Bytes of a table in memory, above which its features are loaded some at a time."""
_CELL_BYTES: Final = 16
"""Of a value in DuckDB's memory, about."""
_ROWS_A_GROUP: Final = 10_240
"""Of a Parquet file that is written here: DuckDB holds a whole group of rows in memory."""


class Loaded:
    """A file and what is said of it. types: DuckDB's, by column. After `load` its values can be taken."""

    def __init__(
        self, base: duckdb.DuckDBPyConnection, source: Source, spec: TableSpec, party: str,
        remembered: Mapping[str, ReadAs] = NOTHING,
    ) -> None:  # fmt: skip
        """Look at the file; nothing is loaded yet. source: made plain. remembered: how a model read columns of text.

        Raises: DataError: it is no table.
        """
        self.base, self.spec, self.party, self.name = base, spec, party, source.path.name
        self.encoding = source.encoding
        texts = [c for c, read in remembered.items() if read.kind == "category" and spec.found_by_values(c)]
        self.scan = Scan(base, source, spec.id, spec.missing, party, texts)
        self.types = self.scan.types
        self._listed = (*(() if spec.categorical == "auto" else spec.categorical), *spec.ordered)
        self._remembered, self._read = remembered, dict[str, TextRead]()
        self._relation = self.scan.relation
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._bytes = source.path.stat().st_size if self.scan.raw else 0
        self._batches: list[list[str]] = []
        self._batch_of: dict[str, int] = {}
        self._batch = -1

    def load(self, needed: Sequence[str], features: Sequence[str] = ()) -> None:
        """Make the columns needed ready to be taken, in the order of the file.

        needed: held in memory. features: likewise, or some at a time where they are too many; these
        are best taken in the order given, since each change of batch reads the file again.
        Raises: DataError: unreadable, or no rows.
        """
        together = tuple(dict.fromkeys((*needed, *features)))
        try:
            if self._table_bytes(len(together)) <= _LARGE:
                self._create("t", together)
            else:
                self._load_in_batches(tuple(dict.fromkeys(needed)), together)
        except duckdb.Error as error:
            raise self.scan.unreadable(error) from None
        if not self.rows:
            raise DataError(self.party, f"{self.name} has no rows", "give a table with rows")

    @property
    def large(self) -> bool:
        """Whether the table is too large to be held in memory."""
        return bool(self._batches)

    def _load_in_batches(self, needed: Sequence[str], together: Sequence[str]) -> None:
        if self.scan.raw:
            # A CSV file is parsed whole for whatever columns of it; once is enough.
            self._folder = tempfile.TemporaryDirectory(prefix="fedwarn-")
            path = text(str(Path(self._folder.name) / "table.parquet"))
            self._copy(together, path)
            self._relation = f"read_parquet({path})"
        self._create("t", needed)
        rest = [c for c in together if c not in needed]
        width = max(1, _LARGE // (_CELL_BYTES * max(self.rows, 1)))
        self._batches = [rest[k : k + width] for k in range(0, len(rest), width)]
        self._batch_of = {name: k for k, batch in enumerate(self._batches) for name in batch}

    def _create(self, table: str, columns: Sequence[str]) -> None:
        listed = ", ".join(map(quoted, columns))
        self.base.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {listed} FROM {self._relation}")

    def _copy(self, columns: Sequence[str], path: str) -> None:
        listed = ", ".join(map(quoted, columns))
        form = f"(FORMAT parquet, ROW_GROUP_SIZE {_ROWS_A_GROUP})"
        self.base.execute(f"COPY (SELECT {listed} FROM {self._relation}) TO {path} {form}")

    def _table_bytes(self, columns: int) -> int:
        """About how many bytes so many columns take in DuckDB's memory, by the size of the file."""
        if self.scan.raw:
            return 3 * self._bytes * columns // max(len(self.types), 1)
        counted = f"SELECT count(*) FROM {self.scan.relation}"
        return _CELL_BYTES * columns * int(self.base.sql(counted).fetchall()[0][0])

    def table_of(self, name: str) -> str:
        """The table of DuckDB that holds a column, loaded if it is not in memory."""
        batch = self._batch_of.get(name)
        if batch is None:
            return "t"
        if batch != self._batch:
            self._create("batch", self._batches[batch])
            self._batch = batch
        return "batch"

    def tables_of(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """The tables of DuckDB that hold some columns, each loaded when it is asked for, and what of them it holds."""
        for _, some in groupby(names, key=lambda name: self._batch_of.get(name, -1)):
            held = list(some)
            yield self.table_of(held[0]), held

    def close(self) -> None:
        """Remove what was written besides."""
        if self._folder:
            self._folder.cleanup()

    @cached_property
    def rows(self) -> int:
        """Rows that were loaded."""
        return int(self.base.sql("SELECT count(*) FROM t").fetchall()[0][0])

    def read(self, name: str) -> TextRead:
        """How a column is read, decided by all of its values once; and which values are missing for it."""
        if name not in self._read:
            self._read[name] = self._decide(name)
        return self._read[name]

    def counts(self, name: str) -> dict[str, int]:
        """Rows of each value of a column as text, sentinels left out."""
        counted = f"SELECT {as_text(name)} AS v, count(*) FROM {self.table_of(name)} GROUP BY v"
        rows = self.base.sql(counted).fetchall()
        missing = sentinel_texts(self.spec.missing)
        return {value: count for value, count in rows if value is not None and value not in missing}

    def _decide(self, name: str) -> TextRead:
        typed = self.types[name]
        if name in self._listed:
            return TextRead(CATEGORY)
        if is_number(typed):
            return TextRead(FORMS[0])
        remembered = self._remembered.get(name)
        if is_date(typed):
            moments = moments_in(self.fetch(name), name, typed)
            dated = remembered is not None and remembered.kind in ("days", "moment")
            return TextRead(remembered if dated and remembered else read_moments(moments))
        if remembered is None:
            written = is_text(typed) and self.spec.numbers == "auto"
            return read_text(self.counts(name)) if written else TextRead(CATEGORY)
        if remembered.kind == "category":
            return TextRead(CATEGORY)
        known, others = left_over(self.counts(name), remembered)
        if not may_be_missing(known, others, remembered):
            raise not_as_trained(self.party, name, self.name, remembered)
        return TextRead(remembered, others)

    def holds_categories(self, name: str) -> bool:
        """Whether a column is of categories: text that is no number and no date, or declared so."""
        return self.read(name).read.kind == "category"

    @cached_property
    def as_of(self) -> Moments:
        """The date of every record, in the order of the file. Raises: DataError: one is missing."""
        return self.moments(self.spec.as_of)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Columns that are no numbers, whose values decide how they are read, and their types."""
        return {c: typed for c, typed in self.types.items() if not is_number(typed) or c in self._listed}

    def fetch(self, name: str) -> Callable[[str], Any]:
        """What gives an expression in SQL over a column, shape (n,), as `values_of` gives it."""
        return lambda expression: values_of(self.base, f"SELECT {expression} FROM {self.table_of(name)}")

    def values(self, expression: str) -> Any:
        """An expression in SQL over the columns that are held in memory, shape (n,)."""
        return values_of(self.base, f"SELECT {expression} FROM t")

    def ids(self, name: str) -> list[Any]:
        """A column of ids."""
        return id_values(self.base, f"SELECT {id_text(name, self.types[name])} FROM t")

    def numbers(self, name: str, order: I64) -> F64:
        """A column as numbers, nan where null, in the order given. Raises: duckdb.Error: some are none."""
        numbers: F64 = np.asarray(self.values(f"CAST({quoted(name)} AS DOUBLE)"), dtype=np.float64)[order]
        return numbers

    def some_numbers(self, name: str, order: I64) -> F64:
        """A column as numbers that may be missing: nan where null, infinite or a sentinel."""
        read = self.read(name).read
        return numbers_in(self.fetch(name), name, self.types[name], read, self.spec.missing)[order]

    def moments(self, name: str) -> Moments:
        """A column of dates or moments, in the order of the file. Raises: DataError: one is missing or none."""
        moments = self.some_moments(name)
        if np.isnat(moments).any():
            raise self.wrong(name, "is missing in some rows", "fill them in or drop the rows")
        return moments

    def some_moments(self, name: str) -> Moments:
        """A column of dates that may be empty, NaT there, in the order of the file."""
        try:
            return np.array(self.values(f"CAST({quoted(name)} AS TIMESTAMP)"), dtype="datetime64[us]")
        except duckdb.Error:
            wrong = self.wrong(name, "is not a date", "write it as YYYY-MM-DD")
        if self.spec.numbers == "strict" or self.read(name).read.kind not in ("days", "moment"):
            raise wrong
        return moments_in(self.fetch(name), name, self.types[name])

    def wrong(self, column: str, thing: str, remedy: str) -> DataError:
        """What is wrong with a column, in a sentence."""
        return DataError(self.party, f"column {column!r} of {self.name} {thing}", remedy)


def not_as_trained(party: str, column: str, where: str, read: ReadAs) -> DataError:
    """The error of a column of new rows that cannot be read as it was in training."""
    was = {"number": "number", "category": "category"}.get(read.kind, "date")
    thing = f"column {column!r} of {where} is no {was}, and was one in training"
    return DataError(party, thing, "write it as it was then")
