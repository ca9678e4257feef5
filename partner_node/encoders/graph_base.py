"""Edges and their ends, as they stood at a point in time, as sparse matrices. scipy is imported when it is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from protocol.errors import DataError, UsageError, nearest
from protocol.messages import F64, I64
from protocol.table import Source
from protocol.table.dates import Moments
from protocol.table.opening import made_plain
from protocol.table.reading import require_source
from protocol.table.scan import Scan, id_text, is_number, quoted, text

_ID: Final = "id"


@dataclass(frozen=True)
class EdgeKeys:
    """Columns of a table of edges. weight, ended: "" where it has none. id: what the ends are called in the result."""

    first: str
    second: str
    time: str
    weight: str = ""
    ended: str = ""
    id: str = _ID


@dataclass(frozen=True)
class NodeKeys:
    """A table of what is known of the ends: `id`, numbers, and the date of each record, "" where they have none."""

    source: Source
    id: str
    time: str = ""


@dataclass(frozen=True)
class Graph:
    """n ends in order of id, and the edges between them, each once with the sum of its weights.

    names: ids, shape (n,). first, second: the ends of each edge, by place. since: days from its first day to the
    point, shape (edges,). traits: what is known of the ends, shape (n, traits). wanted: whose rows are written.
    """

    names: npt.NDArray[Any]
    first: I64
    second: I64
    weight: F64
    since: F64
    trait_names: tuple[str, ...]
    traits: F64
    wanted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)


def scipy_for(party: str) -> Any:
    """scipy.sparse. Raises: UsageError: scipy is not installed."""
    try:
        from scipy import sparse
    except ImportError:
        thing = "columns of a graph need scipy, which is not installed here"
        raise UsageError(party, thing, "install scipy (`make torch-env`)") from None
    return sparse


@dataclass(frozen=True)
class EdgeBase:
    """Tables `edges(first, second, t, weight, ended)` and, if given, `nodes(id, t, traits..)`; and `customers(id)`."""

    base: duckdb.DuckDBPyConnection
    keys: EdgeKeys
    traits: tuple[str, ...]
    party: str

    def at(self, point: np.datetime64) -> Graph:
        """The graph of the edges that had begun by the point and had not ended.

        That an edge ended later is not seen: of its end only whether it lies after the point is asked.
        """
        self.base.execute(
            "CREATE OR REPLACE TEMP TABLE standing AS SELECT first, second, sum(weight) AS weight, min(t) AS t "
            "FROM edges WHERE t <= ? AND (ended IS NULL OR ended > ?) AND first != second GROUP BY first, second",
            [point, point],
        )
        self.base.execute(
            "CREATE OR REPLACE TEMP TABLE ends AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM "
            "(SELECT first AS id FROM standing UNION SELECT second FROM standing UNION "
            "SELECT id FROM customers) ORDER BY id"
        )
        found = self.base.execute(
            "SELECT a.number AS first, b.number AS second, s.weight / 10000.0 AS weight, "
            "(epoch(?::TIMESTAMP) - epoch(s.t)) / 86400.0 AS since FROM standing s "
            "JOIN ends a ON a.id = s.first JOIN ends b ON b.id = s.second ORDER BY 1, 2",
            [point],
        ).fetchnumpy()
        ids = self.base.sql("SELECT id FROM ends ORDER BY number").fetchnumpy()["id"]
        names = np.asarray(ids, dtype=object)
        columns = {name: np.asarray(np.ma.filled(values.astype(np.float64), 0)) for name, values in found.items()}
        return Graph(
            names, columns["first"].astype(np.int64), columns["second"].astype(np.int64), columns["weight"],
            columns["since"], self.traits, self._traits(point, len(names)), self._wanted(),
        )  # fmt: skip

    def _wanted(self) -> npt.NDArray[np.bool_]:
        """The customers, or every end where nobody said who they are."""
        of_customer = "NOT EXISTS (FROM customers) OR id IN (SELECT id FROM customers)"
        found = self.base.sql(f"SELECT {of_customer} AS wanted FROM ends ORDER BY number").fetchnumpy()["wanted"]
        return np.asarray(found, dtype=bool)

    def _traits(self, point: np.datetime64, ends: int) -> F64:
        """The latest record of each end not after the point, shape (ends, traits); nan where there is none."""
        if not self.traits:
            return np.zeros((ends, 0))
        latest = ", ".join(f"arg_max(n.{quoted(name)}, n.t) AS {quoted(name)}" for name in self.traits)
        found = self.base.execute(
            f"SELECT e.number, {latest} FROM ends e LEFT JOIN nodes n ON n.id = e.id AND n.t <= ? "
            "GROUP BY e.number ORDER BY 1",
            [point],
        ).fetchnumpy()
        return np.stack([np.ma.filled(found[name].astype(np.float64), np.nan) for name in self.traits], axis=1)


@contextmanager
def opened(
    source: Source, keys: EdgeKeys, nodes: NodeKeys | None, customers: Source | None, exclude: bool, party: str
) -> Iterator[EdgeBase]:
    """The edges, what is known of their ends, and who is a customer: by `customers`, or else every end.

    exclude: whether edges are left out that touch anybody else.
    Raises: UsageError: a file is missing. DataError: it lacks a column, or a date, an id or a weight is wrong.
    """
    with duckdb.connect() as base:
        base.execute("SET enable_progress_bar = false")
        _load_edges(base, source, keys, party)
        traits = _load_nodes(base, nodes, party) if nodes else ()
        if customers is None:
            base.execute("CREATE TABLE customers (id VARCHAR)")
        else:
            with _scanned(base, customers, (keys.id,), party) as scan:
                _require(scan, (keys.id,), customers, party)
                named = f"CAST({id_text(keys.id, scan.types[keys.id])} AS VARCHAR)"
                base.execute(f"CREATE TABLE customers AS SELECT DISTINCT {named} AS id FROM {scan.relation}")
        if exclude:
            known = "(SELECT id FROM customers)"
            base.execute(f"DELETE FROM edges WHERE first NOT IN {known} OR second NOT IN {known}")
        yield EdgeBase(base, keys, traits, party)


@contextmanager
def _scanned(base: duckdb.DuckDBPyConnection, source: Source, ids: tuple[str, ...], party: str) -> Iterator[Scan]:
    require_source(source, party)
    with made_plain(source, party) as plain:
        yield Scan(base, plain, ids, ("",), party)


def _require(scan: Scan, columns: tuple[str, ...], source: Source, party: str) -> None:
    for column in columns:
        if column and column not in scan.types:
            thing = f"column {column!r} is not in {source.path.name}{nearest(column, list(scan.types))}"
            raise DataError(party, thing, "correct the name")


def _load_edges(base: duckdb.DuckDBPyConnection, source: Source, keys: EdgeKeys, party: str) -> None:
    with _scanned(base, source, (keys.first, keys.second), party) as scan:
        _require(scan, (keys.first, keys.second, keys.time, keys.weight, keys.ended), source, party)
        ends = [f"CAST({id_text(c, scan.types[c])} AS VARCHAR)" for c in (keys.first, keys.second)]
        if keys.weight and not is_number(scan.types[keys.weight]):
            thing = f"column {keys.weight!r} of {source.path.name} is no number"
            raise DataError(party, thing, "name a column of weights")
        # Whole ten-thousandths, so that a sum does not depend on the order in which threads add.
        weight = f"round({quoted(keys.weight)} * 10000)::BIGINT" if keys.weight else "10000::BIGINT"
        ended = f"CAST({quoted(keys.ended)} AS TIMESTAMP)" if keys.ended else "NULL::TIMESTAMP"
        try:
            base.execute(
                f"CREATE TABLE edges AS SELECT {ends[0]} AS first, {ends[1]} AS second, {weight} AS weight, "
                f"CAST({quoted(keys.time)} AS TIMESTAMP) AS t, {ended} AS ended FROM {scan.relation}"
            )
        except duckdb.ConversionException:
            thing = f"a date or weight of {source.path.name} cannot be read"
            raise DataError(party, thing, "write dates as YYYY-MM-DD and weights as numbers") from None
    wrong = "first IS NULL OR second IS NULL OR t IS NULL OR weight IS NULL OR weight < 0"
    ((count,),) = base.sql(f"SELECT count(*) FROM edges WHERE {wrong}").fetchall()
    if count:
        thing = f"{source.path.name} has {count} edges without an end or a date, or whose weight is missing or negative"
        raise DataError(party, thing, "correct or drop them")


def _load_nodes(base: duckdb.DuckDBPyConnection, nodes: NodeKeys, party: str) -> tuple[str, ...]:
    """Table `nodes`; the names of its numbers."""
    with _scanned(base, nodes.source, (nodes.id,), party) as scan:
        _require(scan, (nodes.id, nodes.time), nodes.source, party)
        traits = tuple(c for c, kind in scan.types.items() if c not in (nodes.id, nodes.time) and is_number(kind))
        if not traits:
            raise DataError(party, f"{nodes.source.path.name} has no number", "give the ends numbers, or leave it out")
        moment = f"CAST({quoted(nodes.time)} AS TIMESTAMP)" if nodes.time else "TIMESTAMP '0001-01-01'"
        named = f"CAST({id_text(nodes.id, scan.types[nodes.id])} AS VARCHAR)"
        listed = ", ".join(f"CAST({quoted(c)} AS DOUBLE) AS {quoted(c)}" for c in traits)
        base.execute(f"CREATE TABLE nodes AS SELECT {named} AS id, {moment} AS t, {listed} FROM {scan.relation}")
    return traits


def write_rows(
    keys: EdgeKeys, rows: list[tuple[np.datetime64, npt.NDArray[Any], dict[str, npt.NDArray[Any]]]], points: Moments,
    dated: bool, about: str, out: Path, party: str,
) -> int:  # fmt: skip
    """Write (point, ids, columns) as one Parquet file; how many rows."""
    with duckdb.connect() as base:
        for k, (point, ids, columns) in enumerate(rows):
            dates = {"as_of": np.full(len(ids), point.astype("datetime64[us]"))} if dated else {}
            base.register("given", {keys.id: ids, **dates, **columns})
            base.execute("INSERT INTO found SELECT * FROM given" if k else "CREATE TABLE found AS SELECT * FROM given")
            base.unregister("given")
        order = f"{quoted(keys.id)}, as_of" if dated else quoted(keys.id)
        known = f"{{snapshot: {text(str(points.max())[:10])}, encoder: {text(about)}}}"
        beside = out.with_name(out.name + ".part")
        try:
            ordered = f"SELECT * FROM found ORDER BY {order}"
            base.execute(f"COPY ({ordered}) TO {text(str(beside))} (FORMAT parquet, KV_METADATA {known})")
        except duckdb.IOException as error:
            beside.unlink(missing_ok=True)
            raise UsageError(party, f"{out.name} cannot be written", "check the folder and the disk") from error
    beside.replace(out)
    return sum(len(ids) for _, ids, _ in rows)
