"""The columns of a file that are needed, held by DuckDB in the order of the file, and taken out one by one."""

from collections.abc import Mapping, Sequence
from functools import cached_property
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
    values_of,
)
from protocol.table.spec import Source, TableSpec
from protocol.table.texts import CATEGORY, FORMS, ReadAs, TextRead, left_over, may_be_missing, read_moments, read_text

NOTHING: Final[Mapping[str, ReadAs]] = MappingProxyType({})


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

    def load(self, needed: Sequence[str]) -> None:
        """Put the columns needed into memory, in the order of the file. Raises: DataError: unreadable, or no rows."""
        columns = ", ".join(map(quoted, dict.fromkeys(needed)))
        try:
            self.base.execute(f"CREATE TABLE t AS SELECT {columns} FROM {self.scan.relation}")
        except duckdb.Error as error:
            raise self.scan.unreadable(error) from None
        if not self.rows:
            raise DataError(self.party, f"{self.name} has no rows", "give a table with rows")

    @property
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
        rows = self.base.sql(f"SELECT {as_text(name)} AS v, count(*) FROM t GROUP BY v").fetchall()
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
            moments = moments_in(self.values, name, typed)
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

    @property
    def texts(self) -> list[str]:
        """Columns that are no numbers, whose values decide how they are read."""
        return [c for c, typed in self.types.items() if not is_number(typed) or c in self._listed]

    def values(self, expression: str) -> Any:
        """An expression in SQL over the rows, shape (n,), as `values_of` gives it."""
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
        return numbers_in(self.values, name, self.types[name], self.read(name).read, self.spec.missing)[order]

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
        return moments_in(self.values, name, self.types[name])

    def wrong(self, column: str, thing: str, remedy: str) -> DataError:
        """What is wrong with a column, in a sentence."""
        return DataError(self.party, f"column {column!r} of {self.name} {thing}", remedy)


def not_as_trained(party: str, column: str, where: str, read: ReadAs) -> DataError:
    """The error of a column of new rows that cannot be read as it was in training."""
    was = {"number": "number", "category": "category"}.get(read.kind, "date")
    thing = f"column {column!r} of {where} is no {was}, and was one in training"
    return DataError(party, thing, "write it as it was then")
