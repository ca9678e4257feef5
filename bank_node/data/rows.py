"""Rows to be scored, in a file of any length: laid out once in a temporary file beside the output, read part by part.

In memory are one part, a cache of at most 256 MB, and eight bytes a row to see that no id comes twice. Columns are
typed as the model knows them, so that a part without a date's hours, or a file without one category, means what it
meant in training.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from bank_node.models.folder import ModelFolder, own_columns
from bank_node.settings.config import BankConfig
from protocol.errors import DataError, nearest
from protocol.messages import F64, I64
from protocol.table import Column, Source, Table
from protocol.table.cells import PARTS, category_in, moments_in, numbers_in, part_in
from protocol.table.dates import Moments, date_texts, grid_keys, require_not_after, rows_at_one_point
from protocol.table.ids import AS_WRITTEN, IdRule, duplicate_ids, normalise_ids
from protocol.table.loaded import not_as_trained
from protocol.table.one_file import kind_of
from protocol.table.opening import made_plain
from protocol.table.reading import require_file
from protocol.table.scan import Scan, as_text, id_text, id_values, is_date, is_number, quoted, values_of
from protocol.table.texts import CATEGORY, FORMS, ReadAs, left_over, may_be_missing

PART: Final = 32_768
"""Rows read, walked through the trees and written at once."""
_MEMORY: Final = "256MB"


@contextmanager
def open_rows(config: BankConfig, model: ModelFolder, data: Path, beside: Path) -> Iterator["Rows"]:
    """The rows of a CSV or Parquet file. beside: the folder of the temporary file, gone at the end.

    Raises: UsageError: there is no such file. DataError: it is no table, lacks a column, or has ids null or double.
    """
    require_file(data, config.party)
    with (
        made_plain(source_of(config, data), config.party) as source,
        tempfile.TemporaryDirectory(prefix=".scoring-", dir=beside) as folder,
        duckdb.connect(str(Path(folder) / "rows")) as base,
    ):
        base.execute(f"SET memory_limit = '{_MEMORY}'")
        yield Rows(base, config, model, source)


def source_of(config: BankConfig, data: Path) -> Source:
    """A file of new rows, in the encoding and on the sheet of the node's own table."""
    own = config.data.source
    return Source(kind=kind_of(data), path=data, encoding=own.encoding, sheet=own.sheet)


@dataclass(frozen=True)
class _Wanted:
    """One feature of the model: its kind, the file's column that it is made of, which part of a date, and how read."""

    name: str
    kind: str
    source: str
    part: str
    read: ReadAs


class Rows:
    """rows: how many. digest: of the ids, in the order of the file.

    Rows at points in time are named by id and date, as everywhere; aligned by id and point of the grid.
    """

    def __init__(self, base: duckdb.DuckDBPyConnection, config: BankConfig, model: ModelFolder, source: Source) -> None:
        """source: the file, made plain."""
        self._base, self._config, self._data, self.party = base, config, source.path, config.party
        kinds, self._remembered = own_columns(model.model), model.remembered
        self._dates: tuple[tuple[int, int], Moments] = (0, 0), np.zeros(0, dtype="datetime64[us]")
        scan = self._scan(kinds, source)
        self._require(scan.types, self._naming)
        self._types, self._snapshot = scan.types, scan.snapshot
        self._wanted = [self._feature(name, kind) for name, kind in kinds.items()]
        self._lay_out(scan)
        self.rows = int(base.sql("SELECT count(*) FROM t").fetchall()[0][0])
        self._require_numbers()
        self.digest = self._check_ids()

    def parts(self, size: int) -> Iterator[tuple[int, int]]:
        """(first row, number of rows) of each part."""
        for first in range(0, self.rows, size):
            yield first, min(size, self.rows - first)

    def ids(self, first: int, count: int) -> list[bytes]:
        """Ids of some rows, as they are written."""
        return self._named(first, count, AS_WRITTEN)

    def keys(self, first: int, count: int) -> list[bytes]:
        """Ids of some rows, as alignment takes them. Raises: DataError: a row lies outside of the grid."""
        grid, rule = self._config.grid, self._config.data.id_rule
        if grid is None:
            return self._named(first, count, rule)
        entities = normalise_ids(
            self._id_columns(first, count), self.party, self._data.name, repeated=True, first=first, rule=rule
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

    def _scan(self, kinds: Mapping[str, str], source: Source) -> Scan:
        """The file's types; a column of text in training is text, whatever this file's values look like."""
        spec = self._config.data
        texts = [c for c, kind in kinds.items() if kind == "category" and spec.found_by_values(c)]
        return Scan(self._base, source, spec.id, spec.missing, self.party, texts)

    def _require(self, types: Mapping[str, str], names: tuple[str, ...]) -> None:
        for name in names:
            if name not in types:
                hint = nearest(name, list(types))
                raise DataError(self.party, f"column {name!r} is not in {self._data.name}{hint}", "correct the name")

    def _feature(self, name: str, kind: str) -> _Wanted:
        plain = FORMS[0] if kind == "number" else CATEGORY
        if name in self._types:
            return _Wanted(name, kind, name, "", self._remembered.get(name, plain))
        column, _, part = name.rpartition(".")
        if part in PARTS and column in self._types:
            return _Wanted(name, kind, column, part, self._remembered.get(column, ReadAs("moment")))
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
            if wanted.kind == "category" or (is_date(typed) if wanted.part else is_number(typed)):
                continue
            known, others = 0, Counter[str]()
            for first, count in self.parts(PART):
                texts = self._values(as_text(wanted.source), first, count).tolist()
                told = Counter(text for text in texts if text is not None)
                read, odd = left_over(told, wanted.read)
                known, others = known + read, others + Counter(odd)
            if is_date(typed) or not may_be_missing(known, others, wanted.read):
                raise not_as_trained(self.party, wanted.source, self._data.name, wanted.read)

    def _check_ids(self) -> str:
        """Digest of the ids, in the order of the file."""
        if not self.rows:
            raise DataError(self.party, f"{self._data.name} has no rows", "give a table with rows")
        rows, told, grid = self.rows, hashlib.sha256(), self._config.grid
        hashes, hashed_keys = np.empty(rows, dtype=np.int64), np.empty(rows if grid else 0, dtype=np.int64)
        for first, count in self.parts(PART):
            ids = self._named(first, count, self._config.data.id_rule)
            hashes[first : first + count] = [hash(value) for value in ids]
            told.update(b"".join(len(value).to_bytes(4, "little") + value for value in ids))
            if grid:
                hashed_keys[first : first + count] = [hash(value) for value in self.keys(first, count)]
        if len(twice := _twice(hashes)):
            rule = self._config.data.id_rule
            raise duplicate_ids(sorted((twice + 1).tolist()), self.party, self._data.name, rule)
        if grid and len(twice := _twice(hashed_keys)):
            raise rows_at_one_point(len(twice), grid, self.party)
        return told.hexdigest()

    # -- reading -------------------------------------------------------------------------------------------------

    def _values(self, expression: str, first: int, count: int) -> Any:
        return values_of(self._base, self._query(expression, first, count))

    def _query(self, expression: str, first: int, count: int) -> str:
        return f"SELECT {expression} FROM t WHERE rowid >= {first} AND rowid < {first + count} ORDER BY rowid"

    def _id_columns(self, first: int, count: int) -> list[list[Any]]:
        columns = self._config.data.id
        return [id_values(self._base, self._query(id_text(c, self._types[c]), first, count)) for c in columns]

    def _named(self, first: int, count: int, rule: IdRule) -> list[bytes]:
        dates = [date_texts(self._as_of(first, count))] if self._config.data.as_of else []
        columns = [*self._id_columns(first, count), *dates]
        return normalise_ids(columns, self.party, self._data.name, first=first, rule=rule)

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
        values = partial(self._values, first=first, count=count)
        amount = numbers_in(values, name, self._types[name], FORMS[0], ())
        amount[amount < 0] = np.nan
        return amount

    def _column(self, wanted: _Wanted, first: int, count: int) -> Column:
        values, missing = partial(self._values, first=first, count=count), self._config.data.missing
        typed = self._types[wanted.source]
        if wanted.kind == "category":
            return category_in(values, wanted.name, missing)
        if not wanted.part:
            return Column(wanted.name, "number", numbers=numbers_in(values, wanted.source, typed, wanted.read, missing))
        moments = moments_in(values, wanted.source, typed)
        as_of = self._as_of(first, count) if self._config.data.as_of else None
        return Column(wanted.name, "number", numbers=part_in(moments, wanted.part, wanted.read, as_of))


def _twice(hashes: I64) -> I64:
    """Rows that come after another of the same keyed hash: two ids of a million meet once in thirty million files."""
    order = np.argsort(hashes, kind="stable")
    twice: I64 = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    return twice
