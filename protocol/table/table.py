"""Tables: what a party holds, read by DuckDB, typed, cleaned, and put in order of id.

Numbers, booleans and decimals become float64, nan where missing; text becomes codes into sorted categories, -1
where missing; a date among the features becomes its hour (if it has one) and its day of the week. Sentinel values
count as missing, and are counted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from protocol.errors import DataError, UsageError, nearest
from protocol.messages import F64, I64
from protocol.table.dates import Moments, date_texts, require_not_after
from protocol.table.ids import id_order, normalise_ids
from protocol.table.scan import (
    Scan,
    Sentinel,
    Source,
    as_text,
    id_text,
    is_date,
    is_number,
    quoted,
    sentinel_texts,
    values_of,
)

I32 = npt.NDArray[np.int32]
_MANY_CATEGORIES = 50
Texts = npt.NDArray[np.object_]


class TableSpec(BaseModel):
    """How to read a table. columns: features, all the others if None. Names of special columns, "" if none.

    task: what the label is: binary (0 or 1), regression (a number) or multiclass (0, 1, 2, ..).
    monotone: a partner's own columns by direction: 1 where risk must not fall as the column grows, -1 not rise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    label: str = ""
    weight: str = ""
    amount: str = ""
    time: str = ""
    as_of: str = ""
    part: str = ""
    missing: tuple[Sentinel, ...] = ("",)
    categorical: Literal["auto"] | tuple[str, ...] = "auto"
    dates: tuple[str, ...] = ()
    task: Literal["binary", "regression", "multiclass"] = "binary"
    monotone: dict[str, Literal[-1, 1]] = {}

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no features."""
        single = (self.label, self.weight, self.amount, self.time, self.as_of, self.part)
        return (*self.id, *(c for c in single if c), *self.dates)


@dataclass(frozen=True)
class Column:
    """One feature. numbers: shape (n,), nan = missing; or codes: shape (n,), -1 = missing, into categories."""

    name: str
    kind: Literal["number", "category"]
    numbers: F64 = field(default_factory=lambda: np.empty(0), repr=False)
    codes: I32 = field(default_factory=lambda: np.empty(0, dtype=np.int32), repr=False)
    categories: tuple[str, ...] = field(default=(), repr=False)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Column":
        """The column over some of its rows."""
        if self.kind == "number":
            return replace(self, numbers=self.numbers[chosen])
        return replace(self, codes=self.codes[chosen])


@dataclass(frozen=True)
class Table:
    """A party's rows in order of id. Special columns are None where the table has none, else of shape (n,).

    order: the place in the file, from 0, of each row, shape (n,).
    segments: columns by which figures are given apart, features or not.
    A dated table has several rows an entity: its ids are then (entity, as_of), and `entities` has each row's entity.
    dates: by column, NaT where empty, shape (n,).
    mostly_unique: text columns that name rows rather than describe them; all their values count as missing.
    """

    party: str
    ids: list[bytes] = field(repr=False)
    columns: tuple[Column, ...]
    label: F64 | None = field(default=None, repr=False)
    weight: F64 | None = field(default=None, repr=False)
    amount: F64 | None = field(default=None, repr=False)
    time: npt.NDArray[np.datetime64] | None = field(default=None, repr=False)
    part: Texts | None = field(default=None, repr=False)
    segments: tuple[Column, ...] = ()
    as_of: Moments | None = field(default=None, repr=False)
    dates: dict[str, Moments] = field(default_factory=dict, repr=False)
    entities: list[bytes] = field(default_factory=list, repr=False)
    order: I64 = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)
    sentinels: dict[str, int] = field(default_factory=dict)
    mostly_unique: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.ids)

    @property
    def entity_ids(self) -> list[bytes]:
        """Ids without dates, a row."""
        return self.entities or self.ids


def read_table(
    source: Source, spec: TableSpec, party: str, to_train: bool = True, segments: Sequence[str] = ()
) -> Table:
    """Read, check and clean a party's table. to_train: a column must vary; rows to be scored need not.

    segments: columns to be read besides the features, or once more.

    Raises:
        UsageError: the file is missing.
        DataError: wrong checksum, unreadable, a column or value that is missing or wrong, ids null or double,
            no rows, no usable column.
    """
    sha256 = file_sha256(source.path, party)
    if source.sha256 and sha256 != source.sha256:
        raise DataError(
            party, f"{source.path.name} has another SHA-256 than declared", "get the right file, or correct sha256"
        )
    with duckdb.connect() as base:
        return _Reader(base, source, spec, party).read(sha256, to_train, segments)


def feature_names(source: Source, spec: TableSpec, party: str) -> list[str]:
    """Names of the features that `read_table` makes of spec.columns, without reading the rows."""
    with duckdb.connect() as base:
        reader = _Reader(base, source, spec, party)
        return [made for name in spec.columns or () for made in reader.features(name, reader.scan.relation)]


def mostly_unique_names(source: Source, spec: TableSpec, party: str) -> tuple[str, ...]:
    """Columns of text among spec.columns that `read_table` finds to name rows rather than describe them."""
    with duckdb.connect() as base:
        reader = _Reader(base, source, spec, party)
        return reader.mostly_unique(spec.columns or ())


def file_sha256(path: Path, party: str) -> str:
    """Checksum of a file. Raises: UsageError if it is not there."""
    if path.is_dir():
        raise UsageError(party, f"{path.name} is a folder, and a table is one file", "join its files into one")
    if not path.is_file():
        raise UsageError(party, f"the file {path.name} is not at {path.parent}", "correct the path")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names_rows(column: Column) -> bool:
    """Whether it is text of more than 50 categories, and of more than half as many as rows have one."""
    many = len(column.categories) > _MANY_CATEGORIES
    return many and len(column.categories) > int((column.codes >= 0).sum()) / 2


def _emptied(column: Column) -> Column:
    return Column(column.name, "category", codes=np.full_like(column.codes, -1))


class _Reader:
    """One reading. Steps in the order in which `read` takes them."""

    def __init__(self, base: duckdb.DuckDBPyConnection, source: Source, spec: TableSpec, party: str) -> None:
        self.base, self.source, self.spec, self.party = base, source, spec, party
        self.scan = Scan(base, source, spec.id, spec.missing, party)
        self.types = self.scan.types
        self._listed = () if spec.categorical == "auto" else spec.categorical

    def read(self, sha256: str, to_train: bool, segments: Sequence[str]) -> Table:
        spec = self.spec
        self._require_columns(segments)
        wanted = spec.columns if spec.columns is not None else tuple(c for c in self.types if c not in spec.special)
        self._load((*spec.special, *wanted, *segments))
        given = [self._id_values(c) for c in spec.id]
        as_of = self._as_of() if spec.as_of else None
        dates = [date_texts(as_of)] if as_of is not None else []
        ids = normalise_ids([*given, *dates], self.party, self.source.path.name)
        order = id_order(ids)
        columns = tuple(made for name in wanted for made in self._feature(name, order))
        unique = tuple(c.name for c in columns if to_train and _names_rows(c))
        columns = tuple(_emptied(c) if c.name in unique else c for c in columns)
        if to_train:
            self._require_usable(columns, unique)
        return Table(
            party=self.party,
            ids=[ids[i] for i in order],
            columns=columns,
            label=self._label(order) if spec.label else None,
            weight=self._weight(order) if spec.weight else None,
            amount=self._amount(spec.amount, order) if spec.amount else None,
            time=self._moments(spec.time)[order] if spec.time else None,
            as_of=None if as_of is None else as_of[order],
            dates={name: self._some_moments(name)[order] for name in spec.dates},
            entities=[] if as_of is None else self._entities(given, order),
            part=self._values(as_text(spec.part))[order] if spec.part else None,
            segments=tuple(made for name in segments for made in self._feature(name, order)),
            order=order,
            sentinels=self.scan.sentinels(wanted),
            mostly_unique=unique,
            unused=tuple(c for c in self.types if c not in (*spec.special, *wanted, *segments)),
            sha256=sha256,
        )

    def _load(self, needed: Sequence[str]) -> None:
        """Put the columns needed into memory, in the order of the file."""
        columns = ", ".join(map(quoted, dict.fromkeys(needed)))
        try:
            self.base.execute(f"CREATE TABLE t AS SELECT {columns} FROM {self.scan.relation}")
        except duckdb.Error as error:
            raise self.scan.unreadable(error) from None
        if not self.base.sql("SELECT count(*) FROM t").fetchall()[0][0]:
            raise DataError(self.party, f"{self.source.path.name} has no rows", "give a table with rows")

    def _require_columns(self, segments: Sequence[str]) -> None:
        if self.spec.as_of and self.spec.as_of not in self.types:
            thing = f"{self.source.path.name} has no date column {self.spec.as_of!r}, and the job is at points in time"
            raise DataError(self.party, thing, "give every record its date, and name the column as as_of")
        used = None if self.spec.columns is None else (*self.spec.special, *self.spec.columns)
        self.scan.require_distinct(used)
        for name in (*self.spec.special, *(self.spec.columns or ()), *segments):
            if name not in self.types:
                hint = nearest(name, list(self.types))
                raise DataError(
                    self.party,
                    f"column {name!r} is not in {self.source.path.name}{hint}",
                    "correct the name, or take it out",
                )

    def _values(self, expression: str) -> Any:
        return values_of(self.base, f"SELECT {expression} FROM t")

    def _id_values(self, name: str) -> list[Any]:
        return list(self._values(id_text(name, self.types[name])).tolist())

    def _numbers(self, name: str, order: I64) -> F64:
        numbers: F64 = np.asarray(self._values(f"CAST({quoted(name)} AS DOUBLE)"), dtype=np.float64)[order]
        return numbers

    def _feature(self, name: str, order: I64) -> list[Column]:
        kind = self.types[name]
        if name not in self._listed and is_date(kind):
            return self._date_parts(name, order)
        if name in self._listed or not is_number(kind):
            return [self._category(name, order)]
        return [self._number(name, order)]

    def _number(self, name: str, order: I64) -> Column:
        numbers = self._numbers(name, order)
        codes = [s for s in self.spec.missing if not isinstance(s, str)]
        numbers[np.isin(numbers, codes) | np.isinf(numbers)] = np.nan
        return Column(name, "number", numbers=numbers)

    def _category(self, name: str, order: I64) -> Column:
        texts = self._values(as_text(name)).tolist()
        categories = sorted(set(texts) - sentinel_texts(self.spec.missing) - {None})
        code_of = {category: code for code, category in enumerate(categories)}
        codes = np.fromiter((code_of.get(t, -1) for t in texts), dtype=np.int32, count=len(texts))
        return Column(name, "category", codes=codes[order], categories=tuple(categories))

    def _date_parts(self, name: str, order: I64) -> list[Column]:
        moment = f"CAST({quoted(name)} AS TIMESTAMP)"
        expressions = {"hour": f"date_part('hour', {moment})", "weekday": f"isodow({moment})"}
        parts = {}
        for made in self.features(name, "t"):
            values = self._values(f"CAST({expressions[made.rpartition('.')[2]]} AS DOUBLE)")
            parts[made] = np.asarray(values, dtype=np.float64)[order]
        return [Column(made, "number", numbers=numbers) for made, numbers in parts.items()]

    def features(self, name: str, relation: str) -> list[str]:
        """The features that a column becomes: itself, or parts of a date."""
        if not is_date(self.types[name]) or name in self._listed:
            return [name]
        hour = f"date_part('hour', CAST({quoted(name)} AS TIMESTAMP)) > 0"
        ((timed,),) = self.base.sql(f"SELECT count(*) FROM {relation} WHERE {hour}").fetchall()
        return [*([f"{name}.hour"] if timed else []), f"{name}.weekday"]

    def mostly_unique(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the columns that are text and name rows, without reading the others."""
        texts = [c for c in names if c in self._listed or not (is_number(self.types[c]) or is_date(self.types[c]))]
        if not texts:
            return ()
        self._load(texts)
        order = np.arange(self.base.sql("SELECT count(*) FROM t").fetchall()[0][0])
        return tuple(name for name in texts if _names_rows(self._category(name, order)))

    def _label(self, order: I64) -> F64:
        try:
            label = self._numbers(self.spec.label, order)
        except duckdb.Error:
            label = np.full(len(order), np.nan)
        finite = np.isfinite(label)
        if not finite.all():
            raise self._wrong(
                self.spec.label, f"is missing or not a number in {int((~finite).sum())} rows", "drop them"
            )
        if self.spec.task == "binary" and not np.isin(label, (0.0, 1.0)).all():
            raise self._wrong(self.spec.label, "has values other than 0 and 1", "code a bad as 1 and a good as 0")
        if self.spec.task == "multiclass" and not ((label >= 0) & (label == np.floor(label))).all():
            raise self._wrong(self.spec.label, "has values that are no classes", "number the classes 0, 1, 2, ..")
        if label.min() == label.max():
            raise self._constant(label)
        return label

    def _constant(self, label: F64) -> DataError:
        if self.spec.task == "binary":
            return self._wrong(self.spec.label, f"is {label[0]:.0f} in every row", "give rows of both classes")
        return self._wrong(self.spec.label, "is the same in every row", "give rows that differ")

    def _amount(self, name: str, order: I64) -> F64:
        try:
            values = self._numbers(name, order)
        except duckdb.Error:
            values = np.full(len(order), np.nan)
        wrong = int((~np.isfinite(values) | (values < 0)).sum())
        if wrong:
            raise self._wrong(name, f"is missing or negative in {wrong} rows", "correct or drop them")
        return values

    def _weight(self, order: I64) -> F64:
        values = self._amount(self.spec.weight, order)
        if not values.any():
            raise self._wrong(self.spec.weight, "is 0 in every row", "give rows that count")
        return values

    def _moments(self, name: str) -> Moments:
        """A column of dates or moments, in the order of the file."""
        moments = self._some_moments(name)
        if np.isnat(moments).any():
            raise self._wrong(name, "is missing in some rows", "fill them in or drop the rows")
        return moments

    def _some_moments(self, name: str) -> Moments:
        """A column of dates that may be empty, NaT there, in the order of the file."""
        try:
            values = self._values(f"CAST({quoted(name)} AS TIMESTAMP)")
        except duckdb.Error:
            raise self._wrong(name, "is not a date", "write it as YYYY-MM-DD") from None
        moments: Moments = np.array(values, dtype="datetime64[us]")
        return moments

    def _as_of(self) -> Moments:
        moments = self._moments(self.spec.as_of)
        require_not_after(moments, self.scan.snapshot, self.party, self.source.path.name)
        return moments

    def _entities(self, given: Sequence[Sequence[Any]], order: I64) -> list[bytes]:
        entities = normalise_ids(given, self.party, self.source.path.name, repeated=True)
        return [entities[i] for i in order.tolist()]

    def _wrong(self, name: str, thing: str, remedy: str) -> DataError:
        return DataError(self.party, f"column {name!r} of {self.source.path.name} {thing}", remedy)

    def _require_usable(self, columns: Sequence[Column], unique: Sequence[str]) -> None:
        for column in columns:
            present = column.codes[column.codes >= 0] if column.kind == "category" else column.numbers
            if column.kind == "number":
                present = present[~np.isnan(present)]
                rows = len(column.numbers)
            else:
                rows = len(column.codes)
            if present.size and (present.size < rows or bool((present != present[0]).any())):
                return
        why = f": most values of {unique[0]!r} occur once" if unique else ""
        raise DataError(self.party, f"{self.source.path.name} has no usable column{why}", "give a column that varies")
