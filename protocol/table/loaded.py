"""The columns of a file that are needed, held by DuckDB in the order of the file, and taken out one by one."""

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.dates import Moments
from protocol.table.scan import Scan, id_text, id_values, is_date, is_number, quoted, values_of
from protocol.table.spec import Source, TableSpec


class Loaded:
    """A file and what is said of it. types: DuckDB's, by column. After `load` its values can be taken."""

    def __init__(self, base: duckdb.DuckDBPyConnection, source: Source, spec: TableSpec, party: str) -> None:
        """Look at the file; nothing is loaded yet. Raises: DataError: it is no table."""
        self.base, self.spec, self.party, self.name = base, spec, party, source.path.name
        self.scan = Scan(base, source, spec.id, spec.missing, party)
        self.types = self.scan.types
        self._listed = (*(() if spec.categorical == "auto" else spec.categorical), *spec.ordered)

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

    def holds_dates(self, name: str) -> bool:
        """Whether a column is of dates, and was not declared to be of categories."""
        return is_date(self.types[name]) and name not in self._listed

    def holds_categories(self, name: str) -> bool:
        """Whether a column is of categories: text, or declared so."""
        return name in self._listed or not (is_number(self.types[name]) or is_date(self.types[name]))

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
        """A column as numbers that may be missing: nan where null, infinite or a sentinel. Raises: as `numbers`."""
        numbers, codes = self.numbers(name, order), [s for s in self.spec.missing if not isinstance(s, str)]
        numbers[np.isin(numbers, codes) | np.isinf(numbers)] = np.nan
        return numbers

    def moments(self, name: str) -> Moments:
        """A column of dates or moments, in the order of the file. Raises: DataError: one is missing or none."""
        moments = self.some_moments(name)
        if np.isnat(moments).any():
            raise self.wrong(name, "is missing in some rows", "fill them in or drop the rows")
        return moments

    def some_moments(self, name: str) -> Moments:
        """A column of dates that may be empty, NaT there, in the order of the file."""
        try:
            values = self.values(f"CAST({quoted(name)} AS TIMESTAMP)")
        except duckdb.Error:
            raise self.wrong(name, "is not a date", "write it as YYYY-MM-DD") from None
        moments: Moments = np.array(values, dtype="datetime64[us]")
        return moments

    def wrong(self, column: str, thing: str, remedy: str) -> DataError:
        """What is wrong with a column, in a sentence."""
        return DataError(self.party, f"column {column!r} of {self.name} {thing}", remedy)
