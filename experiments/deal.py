"""Dealing: one table that exists in one place becomes the parties' tables, each in a folder of its own.

Who holds what is drawn with the scenario's seed, in order of id, before anything else happens to the rows. A partner
holds a share of the bank's rows, and strangers: rows drawn again from the table under fresh ids. Files are written
in a shuffled order, so that nothing can hang on it.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np

from bank_node.job import Job, JobParty
from experiments.data import ensure
from protocol.draws import draw
from protocol.errors import DataError
from protocol.files import own_folder
from protocol.ids import id_order, normalise_ids
from protocol.messages import I64
from protocol.table import Source, TableSpec, file_sha256, nearest, quoted


@dataclass(frozen=True)
class DealtParty:
    """One party's table: where it lies, and how a node reads it."""

    name: str
    folder: Path
    source: Source
    spec: TableSpec


@dataclass
class Dealt:
    """All parties, columns given to nobody, text sentinels by column, sources without checksum."""

    parties: dict[str, DealtParty]
    unused: tuple[str, ...] = ()
    sentinels: dict[str, int] = field(default_factory=dict)
    unverified: tuple[str, ...] = ()


def folder_name(party: str) -> str:
    """A folder's name for a party of any name: its letters and digits, and a hash if that leaves something out."""
    plain = unicodedata.normalize("NFKD", party).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower()
    return slug if slug == party else f"{slug or 'party'}-{party.encode().hex()[:12]}"


def deal(job: Job, folder: Path) -> Dealt:
    """Write every party's table under folder/nodes/PARTY.

    Raises: UsageError, DataError: the source is missing, wrong or lacks a column.
    """
    if job.data.source:
        ensure(job.data.source.path)
    own = {name: own_folder(folder / "nodes" / folder_name(name)) for name in job.parties}
    with duckdb.connect() as base:
        base.execute("SET preserve_insertion_order = true")
        dealer = _Dealer(base, job) if job.data.source else None
        parties = {}
        for name, party in job.parties.items():
            source = party.source
            if source is None:
                assert dealer
                source = Source(kind="parquet", path=own[name] / "data.parquet")
                dealer.write(name, party, source.path)
            parties[name] = DealtParty(name, own[name], source, _spec(job, name, party))
    given = [job.data.source, *(p.source for p in job.parties.values())]
    unverified = tuple(s.path.name for s in given if s and not s.sha256)
    return Dealt(parties, dealer.unused if dealer else (), dealer.sentinels if dealer else {}, unverified)


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
        time=data.time if bank else "",
        part=job.split.column if bank and job.split.kind == "column" else "",
        missing=data.missing,
        categorical=listed,
    )


class _Dealer:
    """The table in one place, its rows numbered in order of id."""

    def __init__(self, base: duckdb.DuckDBPyConnection, job: Job) -> None:
        self._base, self._job = base, job
        assert job.data.source
        source = job.data.source
        if source.sha256 and file_sha256(source.path, "data") != source.sha256:
            raise DataError("data", f"{source.path.name} has another SHA-256 than declared", "get the right file")
        file_sha256(source.path, "data")
        self.sentinels = self._load(source)
        ids = [base.sql(f"SELECT {quoted(c)} AS v FROM t ORDER BY row").fetchnumpy()["v"] for c in job.data.id]
        self._order = id_order(normalise_ids([_values(v) for v in ids], "data", source.path.name))

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns given to nobody."""
        split = [self._job.split.column] if self._job.split.kind == "column" else []
        used = {*self._job.data.special, *split, *(c for p in self._job.parties.values() for c in p.columns)}
        return tuple(c for c in self._columns if c not in used)

    def write(self, name: str, party: JobParty, path: Path) -> None:
        """One party's rows and columns, in a shuffled order."""
        job, n = self._job, len(self._order)
        held = strangers = np.zeros(0, dtype=np.int64)
        if name == job.bank:
            held = np.arange(n)
            columns = [c for c in job.data.special if c not in job.data.id]
            columns += [job.split.column] if job.split.kind == "column" and job.split.column not in columns else []
        else:
            held = np.sort(draw(job.run.seed, "coverage", name).permutation(n)[: round(party.coverage * n)])
            strangers = draw(job.run.seed, "strangers", name).integers(0, n, round(party.strangers * n))
            columns = []
        rows = self._order[np.concatenate((held, strangers)).astype(np.int64)]
        fresh = np.concatenate((np.full(len(held), -1), np.arange(len(strangers)))).astype(np.int64)
        shuffled = draw(job.run.seed, "file order", name).permutation(len(rows))
        self._copy(name, [*columns, *party.columns], rows[shuffled], fresh[shuffled], path)

    def _copy(self, name: str, columns: list[str], rows: I64, fresh: I64, path: Path) -> None:
        """Ids become text; a stranger's first id column gets a fresh one."""
        first, *others = self._job.data.id
        text = f"CAST({{}} AS {'BIGINT' if self._whole(first) else 'VARCHAR'})"
        fresh_id = f"'stranger-{folder_name(name)}-' || picks.fresh"
        ids = [
            f"CASE WHEN picks.fresh < 0 THEN CAST({text.format('t.' + quoted(first))} AS VARCHAR) ELSE {fresh_id} END"
        ]
        selected = [f"{ids[0]} AS {quoted(first)}", *(f"t.{quoted(c)}" for c in (*others, *columns))]
        picks = {"row": rows, "fresh": fresh, "place": np.arange(len(rows))}
        self._base.register("given", picks)
        self._base.execute("CREATE OR REPLACE TEMP TABLE picks AS SELECT * FROM given")
        self._base.unregister("given")
        query = f"SELECT {', '.join(selected)} FROM picks JOIN t USING (row) ORDER BY picks.place"
        target = str(path).replace("'", "''")
        self._base.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")

    def _whole(self, column: str) -> bool:
        """Whether an id column of floats holds whole numbers only: 1001.0 is the id 1001."""
        if not self._columns[column].startswith(("DOUBLE", "FLOAT", "DECIMAL")):
            return False
        fraction = f"SELECT count(*) FROM t WHERE {quoted(column)} != floor({quoted(column)})"
        return not self._base.sql(fraction).fetchall()[0][0]

    def _load(self, source: Source) -> dict[str, int]:
        """Put the table into memory; count text sentinels before they become nulls."""
        path, data = str(source.path).replace("'", "''"), self._job.data
        texts = [s for s in data.missing if isinstance(s, str)]
        nulls = ", ".join("'" + s.replace("'", "''") + "'" for s in texts)
        scan = f"read_parquet('{path}')"
        found: dict[str, int] = {}
        try:
            if source.kind == "csv":
                raw = f"read_csv('{path}', header = true, all_varchar = true)"
                names = [row[0] for row in self._base.sql(f"DESCRIBE SELECT * FROM {raw}").fetchall()]
                if marked := [t for t in texts if t]:
                    found = self._count(raw, names, marked)
                types = ", ".join(f"'{c}': 'VARCHAR'".replace("\n", " ") for c in data.id if c in names)
                scan = f"read_csv('{path}', header = true, sample_size = -1, nullstr = [{nulls}], types = {{{types}}})"
            self._base.execute(f"CREATE TABLE t AS SELECT row_number() OVER () - 1 AS row, * FROM {scan}")
            described = self._base.sql("DESCRIBE t").fetchall()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0][:160]
            raise DataError("data", f"{source.path.name} cannot be read: {reason}", "give a valid table") from None
        self._columns = {name: kind for name, kind, *_ in described[1:]}
        self._require_columns(source)
        return found

    def _count(self, raw: str, names: list[str], marked: list[str]) -> dict[str, int]:
        listed = ", ".join("'" + t.replace("'", "''") + "'" for t in marked)
        counts = ", ".join(f"count(*) FILTER ({quoted(c)} IN ({listed}))" for c in names)
        (row,) = self._base.sql(f"SELECT {counts} FROM {raw}").fetchall()
        return {name: count for name, count in zip(names, row, strict=True) if count}

    def _require_columns(self, source: Source) -> None:
        split = [self._job.split.column] if self._job.split.kind == "column" else []
        wanted = [(c, "data") for c in (*self._job.data.special, *split)]
        wanted += [(c, name) for name, p in self._job.parties.items() if p.source is None for c in p.columns]
        for column, party in wanted:
            if column not in self._columns:
                hint = nearest(column, list(self._columns))
                raise DataError(party, f"column {column!r} is not in {source.path.name}{hint}", "correct the scenario")
        if not self._base.sql("SELECT count(*) FROM t").fetchall()[0][0]:
            raise DataError("data", f"{source.path.name} has no rows", "give a table with rows")


def _values(column: np.ndarray) -> list[object]:
    if isinstance(column, np.ma.MaskedArray):
        return [
            None if masked else value
            for value, masked in zip(column.data.tolist(), np.ma.getmaskarray(column), strict=True)
        ]
    return list(column.tolist())
