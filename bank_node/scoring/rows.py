"""Rows to be scored, in a file of any length: laid out once in a temporary file beside the output, read part by part.

In memory are one part, a cache of at most 256 MB, and eight bytes a row to see that no id comes twice. Columns are
typed as the model knows them, so that a part without a date's hours, or a file without one category, means what it
meant in training.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from bank_node.config import BankConfig
from bank_node.models.folder import Model, own_columns
from protocol.errors import DataError, nearest
from protocol.messages import F64, I64
from protocol.table import Column, Source, Table
from protocol.table.dates import Moments, date_texts, grid_keys, require_not_after, rows_at_one_point
from protocol.table.ids import duplicate_ids, normalise_ids
from protocol.table.one_file import kind_of
from protocol.table.reading import require_file
from protocol.table.scan import Scan, as_text, id_text, id_values, is_date, is_number, quoted, sentinel_texts, values_of

PART: Final = 32_768
"""Rows read, walked through the trees and written at once."""
_MEMORY: Final = "256MB"
_MOMENT_PARTS: Final = {"hour": "date_part('hour', {})", "weekday": "isodow({})"}


@contextmanager
def open_rows(config: BankConfig, model: Model, data: Path, beside: Path) -> Iterator["Rows"]:
    """The rows of a CSV or Parquet file. beside: the folder of the temporary file, gone at the end.

    Raises: UsageError: there is no such file. DataError: it is no table, lacks a column, or has ids null or double.
    """
    require_file(data, config.party)
    with (
        tempfile.TemporaryDirectory(prefix=".scoring-", dir=beside) as folder,
        duckdb.connect(str(Path(folder) / "rows")) as base,
    ):
        base.execute(f"SET memory_limit = '{_MEMORY}'")
        yield Rows(base, config, model, data)


@dataclass(frozen=True)
class _Wanted:
    """One feature of the model: its expression in SQL over the file's columns, and its kind."""

    name: str
    kind: str
    source: str
    expression: str


class Rows:
    """rows: how many. digest: of the ids, in the order of the file.

    Rows at points in time are named by id and date, as everywhere; aligned by id and point of the grid.
    """

    def __init__(self, base: duckdb.DuckDBPyConnection, config: BankConfig, model: Model, data: Path) -> None:
        self._base, self._config, self._data, self.party = base, config, data, config.party
        kinds = own_columns(model)
        self._dates: tuple[tuple[int, int], Moments] = (0, 0), np.zeros(0, dtype="datetime64[us]")
        scan = self._scan(kinds)
        self._require(scan.types, self._naming)
        self._types, self._snapshot = scan.types, scan.snapshot
        self._wanted = [self._feature(name, kind) for name, kind in kinds.items()]
        self._lay_out(scan)
        self._require_numbers()
        self.rows, self.digest = self._check_ids()

    def parts(self, size: int) -> Iterator[tuple[int, int]]:
        """(first row, number of rows) of each part."""
        for first in range(0, self.rows, size):
            yield first, min(size, self.rows - first)

    def ids(self, first: int, count: int) -> list[bytes]:
        """Ids of some rows, as they are written."""
        dates = [date_texts(self._as_of(first, count))] if self._config.data.as_of else []
        return self._named([*self._id_columns(first, count), *dates], first)

    def keys(self, first: int, count: int) -> list[bytes]:
        """Ids of some rows, as alignment takes them. Raises: DataError: a row lies outside of the grid."""
        grid = self._config.grid
        if grid is None:
            return self.ids(first, count)
        entities = normalise_ids(
            self._id_columns(first, count), self.party, self._data.name, repeated=True, first=first
        )
        return grid_keys(entities, self._as_of(first, count), grid, self.party)

    def table(self, first: int, count: int) -> Table:
        """Some rows: ids, the columns that the model uses, and amounts where there are any."""
        columns = tuple(self._column(wanted, first, count) for wanted in self._wanted)
        return Table(self.party, self.ids(first, count), columns, amount=self._amount(first, count))

    @property
    def _naming(self) -> tuple[str, ...]:
        """The columns that name a row."""
        spec = self._config.data
        return (*spec.id, *([spec.as_of] if spec.as_of else []))

    # -- laying out ----------------------------------------------------------------------------------------------

    def _scan(self, kinds: Mapping[str, str]) -> Scan:
        """The file's types; a column of text in training is text, whatever this file's values look like."""
        spec = self._config.data
        source = Source(kind=kind_of(self._data), path=self._data)
        texts = [c for c, kind in kinds.items() if kind == "category" and spec.categorical == "auto"]
        return Scan(self._base, source, (*spec.id, *texts), spec.missing, self.party)

    def _require(self, types: Mapping[str, str], names: tuple[str, ...]) -> None:
        for name in names:
            if name not in types:
                hint = nearest(name, list(types))
                raise DataError(self.party, f"column {name!r} is not in {self._data.name}{hint}", "correct the name")

    def _feature(self, name: str, kind: str) -> _Wanted:
        column, _, part = name.rpartition(".")
        if name in self._types:
            number = f"TRY_CAST({quoted(name)} AS DOUBLE)"
            return _Wanted(name, kind, name, number if kind == "number" else as_text(name))
        if part in _MOMENT_PARTS and column in self._types:
            moment = f"TRY_CAST({quoted(column)} AS TIMESTAMP)"
            return _Wanted(name, kind, column, f"CAST({_MOMENT_PARTS[part].format(moment)} AS DOUBLE)")
        raise DataError(self.party, f"{self._data.name} lacks {name!r}, which the model uses", "add the column")

    def _lay_out(self, scan: Scan) -> None:
        money = [self._config.data.amount] if self._config.data.amount in self._types else []
        needed = dict.fromkeys((*self._naming, *(wanted.source for wanted in self._wanted), *money))
        try:
            columns = ", ".join(map(quoted, needed))
            self._base.execute(f"CREATE TABLE t AS SELECT {columns} FROM {scan.relation}")
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise scan.unreadable(error) from None

    def _require_numbers(self) -> None:
        """A number in training must be one here, and a moment a moment; a column without any value may be anything."""
        for wanted in self._wanted:
            typed = self._types[wanted.source]
            if wanted.kind == "category" or is_number(typed) or (wanted.source != wanted.name and is_date(typed)):
                continue
            wrong = f"SELECT count(*) FROM t WHERE {quoted(wanted.source)} IS NOT NULL AND {wanted.expression} IS NULL"
            ((count,),) = self._base.sql(wrong).fetchall()
            if count or is_date(typed):
                was = "number" if wanted.source == wanted.name else "date"
                thing = f"column {wanted.source!r} of {self._data.name} is no {was}, and was one in training"
                raise DataError(self.party, thing, "write it as it was then")

    def _check_ids(self) -> tuple[int, str]:
        ((rows,),) = self._base.sql("SELECT count(*) FROM t").fetchall()
        if not rows:
            raise DataError(self.party, f"{self._data.name} has no rows", "give a table with rows")
        self.rows, told, grid = rows, hashlib.sha256(), self._config.grid
        hashes, hashed_keys = np.empty(rows, dtype=np.int64), np.empty(rows if grid else 0, dtype=np.int64)
        for first, count in self.parts(PART):
            ids = self.ids(first, count)
            hashes[first : first + count] = [hash(value) for value in ids]
            told.update(b"".join(len(value).to_bytes(4, "little") + value for value in ids))
            if grid:
                hashed_keys[first : first + count] = [hash(value) for value in self.keys(first, count)]
        if len(twice := _twice(hashes)):
            raise duplicate_ids(sorted((twice + 1).tolist()), self.party, self._data.name)
        if grid and len(twice := _twice(hashed_keys)):
            raise rows_at_one_point(len(twice), grid, self.party)
        return rows, told.hexdigest()

    # -- reading -------------------------------------------------------------------------------------------------

    def _values(self, expression: str, first: int, count: int) -> Any:
        return values_of(self._base, self._query(expression, first, count))

    def _query(self, expression: str, first: int, count: int) -> str:
        return f"SELECT {expression} FROM t WHERE rowid >= {first} AND rowid < {first + count} ORDER BY rowid"

    def _id_columns(self, first: int, count: int) -> list[list[Any]]:
        columns = self._config.data.id
        return [id_values(self._base, self._query(id_text(c, self._types[c]), first, count)) for c in columns]

    def _named(self, columns: list[list[Any]], first: int) -> list[bytes]:
        return normalise_ids(columns, self.party, self._data.name, first=first)

    def _as_of(self, first: int, count: int) -> Moments:
        """Dates of some rows. Those read last are kept: a part's ids and its keys are both made of them."""
        if self._dates[0] != (first, count):
            self._dates = (first, count), self._read_dates(first, count)
        return self._dates[1]

    def _read_dates(self, first: int, count: int) -> Moments:
        name = self._config.data.as_of
        wrong = partial(DataError, self.party, remedy="write every row's date as YYYY-MM-DD")
        try:
            values = self._values(f"CAST({quoted(name)} AS TIMESTAMP)", first, count)
        except duckdb.Error:
            raise wrong(f"column {name!r} of {self._data.name} is not a date") from None
        if values.dtype == object:
            raise wrong(f"column {name!r} of {self._data.name} is missing in some rows")
        moments: Moments = values.astype("datetime64[us]")
        require_not_after(moments, self._snapshot, self.party, self._data.name)
        return moments

    def _amount(self, first: int, count: int) -> F64 | None:
        """nan where it is missing or negative; None where the file has no such column."""
        name = self._config.data.amount
        if name not in self._types:
            return None
        amount = np.array(self._values(f"TRY_CAST({quoted(name)} AS DOUBLE)", first, count), dtype=np.float64)
        amount[~np.isfinite(amount) | (amount < 0)] = np.nan
        return amount

    def _column(self, wanted: _Wanted, first: int, count: int) -> Column:
        values = self._values(wanted.expression, first, count)
        missing = self._config.data.missing
        if wanted.kind == "number":
            numbers = np.asarray(values, dtype=np.float64)
            codes = [] if wanted.source != wanted.name else [s for s in missing if not isinstance(s, str)]
            numbers[np.isin(numbers, codes) | np.isinf(numbers)] = np.nan
            return Column(wanted.name, "number", numbers=numbers)
        texts = values.tolist()
        categories = sorted(set(texts) - sentinel_texts(missing) - {None})
        code_of = {category: code for code, category in enumerate(categories)}
        coded = np.fromiter((code_of.get(t, -1) for t in texts), dtype=np.int32, count=count)
        return Column(wanted.name, "category", codes=coded, categories=tuple(categories))


def _twice(hashes: I64) -> I64:
    """Rows that come after another of the same keyed hash: two ids of a million meet once in thirty million files."""
    order = np.argsort(hashes, kind="stable")
    twice: I64 = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    return twice
