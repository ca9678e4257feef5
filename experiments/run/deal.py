"""Dealing: one table that exists in one place becomes the parties' tables, each in a folder of its own.

Who holds what is drawn with the scenario's seed, in order of id, before anything else happens to the rows. A partner
holds a share of the bank's rows, and strangers: rows drawn again from the table under fresh ids. Files are written
in a shuffled order, so that nothing can hang on it.
"""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np

from experiments.data import ensure
from protocol.draws import draw
from protocol.errors import DataError, nearest
from protocol.files import folder_name, own_folder
from protocol.job import Job, JobParty
from protocol.messages import I64
from protocol.table import Described, Source, TableSpec, describe, source_sha256
from protocol.table.dates import Grid, Moments, Period, Periods, coded, date_texts, require_not_after
from protocol.table.ids import id_order, normalise_ids
from protocol.table.opening import made_plain
from protocol.table.scan import Scan, as_text, id_text, id_values, quoted, text, values_of
from protocol.table.snapshots import at_hand


@dataclass(frozen=True)
class DealtParty:
    """One party's table: where it lies, and how a node reads it."""

    name: str
    folder: Path
    source: Source
    spec: TableSpec
    periods: Periods

    @cached_property
    def described(self) -> Described:
        """What its node makes of its columns."""
        return describe(self.source, self.spec, self.name)


@dataclass
class Dealt:
    """All parties, columns given to nobody, sentinels by party and column, sources without checksum."""

    parties: dict[str, DealtParty]
    unused: tuple[str, ...] = ()
    sentinels: dict[str, dict[str, int]] = field(default_factory=dict)
    unverified: tuple[str, ...] = ()

    def features(self, party: str) -> list[str]:
        """Names of the features that a party's columns become."""
        return list(self.parties[party].described.features)


def deal(job: Job, folder: Path) -> Dealt:
    """Write every party's table under folder/nodes/PARTY.

    Raises: UsageError, DataError: the source is missing, wrong or lacks a column.
    """
    if job.data.source and job.data.source.kind != "sql":
        ensure(job.data.source.path)
    own = {name: own_folder(folder / "nodes" / folder_name(name)) for name in job.parties}
    job = _at_hand(job, own)
    given = [job.data.source, *(p.source for p in job.parties.values())]
    dealt = Dealt({}, unverified=tuple(dict.fromkeys(s.path.name for s in given if s and not s.sha256)))
    with ExitStack() as plain, duckdb.connect() as base:
        base.execute("SET preserve_insertion_order = true")
        dealer = _Dealer(base, job, plain.enter_context(_plain(job.data.source))) if job.data.source else None
        unused = list(dealer.unused) if dealer else []
        periods = _periods(job, dealer)
        for name, party in job.parties.items():
            source, spec = party.source, _spec(job, name, party)
            if source is None:
                assert dealer
                source, scan = Source(kind="parquet", path=own[name] / "data.parquet"), dealer.scan
                source = source.model_copy(update={"snapshot": scan.snapshot or ""})
                dealer.write(name, party, source.path)
            else:
                source_sha256(source, name)
                scan = Scan(base, plain.enter_context(made_plain(source, name)), spec.id, spec.missing, name)
                segments = job.report.segments if name == job.bank else ()
                unused += [c for c in scan.types if c not in (*spec.special, *party.columns, *segments)]
            dealt.parties[name] = DealtParty(name, own[name], source, spec, periods)
            dealt.sentinels[name] = scan.sentinels([c for c in party.columns if c in scan.types])
    dealt.unused = tuple(dict.fromkeys(unused))
    return dealt


def _at_hand(job: Job, folders: Mapping[str, Path]) -> Job:
    """The job with databases read into the folders of the parties whose tables they are; of one table, the bank's."""

    def read(source: Source | None, party: str) -> Source | None:
        if source is None or source.kind != "sql":
            return source
        return at_hand(source.model_copy(update={"path": folders[party] / "snapshots" / source.path.name}), party)

    parties = {n: p.model_copy(update={"source": read(p.source, n)}) for n, p in job.parties.items()}
    data = job.data.model_copy(update={"source": read(job.data.source, job.bank)})
    return job.model_copy(update={"data": data, "parties": parties})


def _spec(job: Job, name: str, party: JobParty) -> TableSpec:
    """How a node reads its table: the bank's has label, time, weight, amount and parts."""
    data, bank = job.data, name == job.bank
    listed = (
        data.categorical if data.categorical == "auto" else tuple(c for c in data.categorical if c in party.columns)
    )
    return TableSpec(
        id=party.id or data.id,
        columns=party.columns,
        label=data.label if bank else "",
        weight=data.weight if bank else "",
        amount=data.amount if bank else "",
        time=job.time if bank else "",
        as_of=data.as_of and (party.as_of or data.as_of),
        part=job.split.column if bank and job.split.kind == "column" else "",
        missing=data.missing,
        categorical=listed,
        ordered={c: grades for c, grades in data.ordered.items() if c in party.columns},
        numbers=data.numbers,
        label_bad=data.label_bad if bank else (),
        label_good=data.label_good if bank else (),
        id_case=data.id_case,
        id_pad=data.id_pad,
        task=job.task if bank else "binary",
        monotone=party.monotone,
        prepare={} if bank else party.prepare,
    )


def _periods(job: Job, dealer: "_Dealer | None") -> Periods:
    """The grid of points in time: the job's, or what the one table's dates admit."""
    data = job.data
    given = Periods(period=data.period, first=data.first, last=data.last)
    if not data.as_of or job.run.alignment == "shared" or given.grid or dealer is None:
        return given
    return dealer.fitting_periods(given)


def _plain(source: Source) -> AbstractContextManager[Source]:
    """The one table as DuckDB reads it. Raises: UsageError, DataError: it is missing, or another one than declared."""
    sha256 = source_sha256(source, "data")
    if source.sha256 and sha256 != source.sha256:
        raise DataError("data", f"{source.path.name} has another SHA-256 than declared", "get the right file")
    return made_plain(source, "data")


class _Dealer:
    """The table in one place, its rows numbered in order of id."""

    def __init__(self, base: duckdb.DuckDBPyConnection, job: Job, source: Source) -> None:
        """source: the table, made plain."""
        self._base, self._job = base, job
        self.scan = Scan(base, source, job.data.id, job.data.missing, "data")
        self._columns = self.scan.types
        self._require_distinct()
        self._require_columns(source)
        self._row = _new_name("row", self._columns)
        self._load(source)
        ids = [self._values(id_text(c, self._columns[c])) for c in job.data.id]
        self._as_of = self._dates(job.data.as_of, source) if job.data.as_of else None
        dates = [] if self._as_of is None else [date_texts(self._as_of)]
        rule = job.data.id_rule
        names = normalise_ids([*ids, *dates], "data", source.path.name, rule=rule)
        self._order = id_order(names)
        dated = self._as_of is not None
        self._entities = normalise_ids(ids, "data", source.path.name, repeated=True, rule=rule) if dated else names
        _, codes = coded([self._entities[i] for i in self._order.tolist()])
        self._of_entity = np.split(np.argsort(codes, kind="stable"), np.flatnonzero(np.diff(np.sort(codes))) + 1)

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns given to nobody."""
        given = (c for p in self._job.parties.values() for c in p.columns)
        used = {*self._job.special, *self._job.report.segments, *given}
        return tuple(c for c in self._columns if c not in used)

    def write(self, name: str, party: JobParty, path: Path) -> None:
        """One party's rows and columns, in a shuffled order."""
        job, n, entities = self._job, len(self._order), len(self._of_entity)
        held = strangers = numbers = np.zeros(0, dtype=np.int64)
        if name == job.bank:
            held = np.arange(n)
            columns = [c for c in job.special if c not in job.data.id]
            columns += [c for c in job.report.segments if c not in (*columns, *party.columns)]
        else:
            known = draw(job.run.seed, "coverage", name).permutation(entities)[: round(party.coverage * entities)]
            again = draw(job.run.seed, "strangers", name).integers(0, entities, round(party.strangers * entities))
            held, _ = self._records(np.sort(known))
            strangers, numbers = self._records(again)
            columns = [job.data.as_of] if job.data.as_of else []
        rows = self._order[np.concatenate((held, strangers)).astype(np.int64)]
        fresh = np.concatenate((np.full(len(held), -1), numbers)).astype(np.int64)
        shuffled = draw(job.run.seed, "file order", name).permutation(len(rows))
        self._copy(name, [*columns, *party.columns], rows[shuffled], fresh[shuffled], path)

    def _records(self, entities: I64) -> tuple[I64, I64]:
        """All rows of these entities, in order of id; and for each row, which of the entities it is of."""
        found = [self._of_entity[e] for e in entities.tolist()]
        numbers = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
        return np.concatenate([*found, np.zeros(0, dtype=np.int64)]).astype(np.int64), numbers.astype(np.int64)

    def fitting_periods(self, given: Periods) -> Periods:
        """A grid for the table's own dates: the longest of month, week and day on whose points all of them lie.

        Raises: DataError: none fits, since there are times of day.
        """
        assert self._as_of is not None
        first, last = self._as_of.min().astype("datetime64[D]").item(), self._as_of.max().astype("datetime64[D]").item()
        wanted: tuple[Period, ...] = (given.period,) if given.period else ("month", "week", "day")
        for period in wanted:
            grid = Grid(period, first, last)
            if given.period or np.isin(self._as_of, grid.points).all():
                return Periods(period=period, first=first, last=last)
        raise DataError(
            "data", "has times of day in its as_of, and partners answer by the day",
            'round as_of to dates, name a period under [data], or set alignment = "shared" under [run]',
        )  # fmt: skip

    def _dates(self, name: str, source: Source) -> Moments:
        try:
            values = np.asarray(values_of(self._base, f"SELECT CAST({quoted(name)} AS TIMESTAMP) FROM t"))
        except duckdb.Error:
            values = np.zeros(0, dtype=object)
        if values.dtype == object:
            thing = f"column {name!r} of {source.path.name} is missing in some rows, or is not a date"
            raise DataError("data", thing, "write it as YYYY-MM-DD in every row")
        as_of: Moments = values.astype("datetime64[us]")
        require_not_after(as_of, self.scan.snapshot, "data", source.path.name)
        return as_of

    def _copy(self, name: str, columns: list[str], rows: I64, fresh_numbers: I64, path: Path) -> None:
        """Ids become text; a stranger's first id column gets a fresh one."""
        first, *others = self._job.data.id
        fresh = f"{text(self._stranger(name, first))} || picks.fresh"
        selected = [
            f"CASE WHEN picks.fresh < 0 THEN {self._id(first)} ELSE {fresh} END AS {quoted(first)}",
            *(f"{self._id(c)} AS {quoted(c)}" for c in others),
            *(f"t.{quoted(c)}" for c in columns),
        ]
        self._base.register("given", {"row": rows, "fresh": fresh_numbers, "place": np.arange(len(rows))})
        self._base.execute("CREATE OR REPLACE TEMP TABLE picks AS SELECT * FROM given")
        self._base.unregister("given")
        joined = f"picks JOIN t ON picks.row = t.{quoted(self._row)} ORDER BY picks.place"
        self._base.execute(f"COPY (SELECT {', '.join(selected)} FROM {joined}) TO {text(str(path))} (FORMAT parquet)")

    def _stranger(self, name: str, column: str) -> str:
        """What a fresh id begins with: nothing that an id of the table begins with."""
        prefix = f"stranger-{folder_name(name)}-"
        taken = f"SELECT count(*) FROM t WHERE starts_with(trim({as_text(column)}), {{}})"
        while self._base.sql(taken.format(text(prefix))).fetchall()[0][0]:
            prefix += "-"
        return prefix

    def _id(self, column: str) -> str:
        """An id column as text. A float is a whole number wherever all of its column are: 1001.0 is the id 1001."""
        if not self._columns[column].startswith(("DOUBLE", "FLOAT")):
            return f"CAST(t.{quoted(column)} AS VARCHAR)"
        broken = f"{quoted(column)} != floor({quoted(column)}) OR abs({quoted(column)}) > 1e38"
        if self._base.sql(f"SELECT count(*) FROM t WHERE {broken}").fetchall()[0][0]:
            return f"CAST(t.{quoted(column)} AS VARCHAR)"
        return f"CAST(CAST(t.{quoted(column)} AS HUGEINT) AS VARCHAR)"

    def _values(self, expression: str) -> list[object]:
        return id_values(self._base, f"SELECT {expression} FROM t ORDER BY {quoted(self._row)}")

    def _load(self, source: Source) -> None:
        """Put the columns that somebody gets into memory, and number the rows in the order of the file."""
        columns = ", ".join(quoted(c) for c in self._columns if c not in self.unused)
        numbered = f"row_number() OVER () - 1 AS {quoted(self._row)}"
        try:
            self._base.execute(f"CREATE TABLE t AS SELECT {numbered}, {columns} FROM {self.scan.relation}")
        except duckdb.Error as error:
            raise self.scan.unreadable(error) from None
        if not self._base.sql("SELECT count(*) FROM t").fetchall()[0][0]:
            raise DataError("data", f"{source.path.name} has no rows", "give a table with rows")

    def _require_columns(self, source: Source) -> None:
        wanted = [(c, "data") for c in (*self._job.special, *self._job.report.segments)]
        wanted += [(c, name) for name, p in self._job.parties.items() if p.source is None for c in p.columns]
        for column, party in wanted:
            if column not in self._columns:
                hint = nearest(column, list(self._columns))
                raise DataError(party, f"column {column!r} is not in {source.path.name}{hint}", "correct the scenario")

    def _require_distinct(self) -> None:
        given = [c for p in self._job.parties.values() if p.source is None for c in p.columns]
        self.scan.require_distinct((*self._job.special, *given))


def _new_name(wanted: str, taken: Collection[str]) -> str:
    """A column name that the table does not have, whatever the case of its letters."""
    lower = {name.lower() for name in taken}
    while wanted in lower:
        wanted += "_"
    return wanted
