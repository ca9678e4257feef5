"""`[parties.X.encode]`: a party's events become columns of the scenario's table, before it is dealt out.

Each row is encoded as of its own date (data.as_of, or data.time), by what `partner-node encode` does. Files go to the
scenarios' cache under names that say what is in them, so that the same events are encoded once.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

import partner_node.encoders
from experiments.data import ensure
from partner_node.encoders.encode import AS_OF, Request, encode
from partner_node.encoders.encode_graph import GraphRequest, encode_graph
from partner_node.encoders.fitting import Wanted
from partner_node.encoders.graph_base import EdgeKeys, NodeKeys
from partner_node.encoders.keys import EventKeys
from protocol.errors import DataError, UsageError
from protocol.job.encode import Encode, MadeUp
from protocol.node.command import TALK
from protocol.settings import check_settings
from protocol.table import Source, source_sha256
from protocol.table.opening import made_plain
from protocol.table.scan import Scan, id_text, quoted, text

Made = Callable[[str], Path]
"""The file of what the scenario's generator makes besides the table: `events`, `edges` or `nodes`."""
_LEARNED: Final = re.compile(r"learned \d+")


@dataclass(frozen=True)
class Encoded:
    """A party's columns in a file. names: those that it holds, as the file calls them."""

    path: Path
    id: tuple[str, ...]
    names: tuple[str, ...]


def with_encodings(values: dict[str, Any], path: Path, cache: Path, made: Made) -> dict[str, Any]:
    """The scenario's values with every `encode` carried out: a wider table, and the columns that each party holds.

    Raises: UsageError: a key is wrong, or torch is missing. DataError: the events cannot be used.
    """
    wanted = {name: party.pop("encode") for name, party in values["parties"].items() if "encode" in party}
    data = values["data"]
    date = data.get("as_of") or data.get("time")
    if not date or "source" not in data:
        thing = "encode looks at each row of data.source as of its own date, and there is no source or no date"
        raise UsageError("settings", thing, "name data.as_of or data.time; with own tables, run `partner-node encode`")
    source = check_settings(Source, data["source"], f"{path.name}, data.source").beside(path, Path())
    ensure(source.path)
    table = _Table(source, tuple(data["id"]), date)
    found = dict[str, Encoded]()
    for name, given in wanted.items():
        settings = check_settings(Encode, given, f"{path.name}, parties.{name}.encode")
        found[name] = _encoded(name, settings, table, path, cache, made)
        values["parties"][name]["columns"] = [*values["parties"][name].get("columns", ()), *_named(name, found[name])]
    wide = table.widened(found, cache)
    data["source"] = {
        "kind": "parquet",
        "path": str(wide),
        "sha256": source_sha256(Source(kind="parquet", path=wide), "data"),
    }
    return values


def _named(party: str, columns: Encoded) -> list[str]:
    """What the columns are called in the table: two parties may both have `all count 3m`."""
    return [f"{party}: {name}" for name in columns.names]


class _Table:
    """The scenario's one table."""

    def __init__(self, source: Source, ids: Sequence[str], date: str) -> None:
        self._source, self.ids, self._date = source, tuple(ids), date
        self.sha256 = source_sha256(source, "data")

    @property
    def pairs(self) -> dict[str, Any]:
        """Ids as text, `id0`.., and `point`, shape (n,) each."""
        with made_plain(self._source, "data") as plain, duckdb.connect() as base:
            scan = Scan(base, plain, self.ids, ("",), "data")
            found = base.sql(f"SELECT {', '.join(self._keys(scan))} FROM {scan.relation}").fetchnumpy()
        return {name: np.asarray(values) for name, values in found.items()}

    def _keys(self, scan: Scan) -> list[str]:
        ids = [f"CAST({id_text(c, scan.types[c])} AS VARCHAR) AS id{k}" for k, c in enumerate(self.ids)]
        return [*ids, f"CAST({quoted(self._date)} AS TIMESTAMP) AS point"]

    def widened(self, parties: dict[str, Encoded], cache: Path) -> Path:
        """A file of the table with the parties' columns beside its own."""
        about = [self.sha256, *(f"{name} {own.path.name} {own.names}" for name, own in parties.items())]
        path = cache / f"encoded-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}.parquet"
        if path.exists():
            return path
        with made_plain(self._source, "data") as plain, duckdb.connect() as base:
            scan = Scan(base, plain, self.ids, ("",), "data")
            selected, joined = ["t.* EXCLUDE (number)"], "numbered t"
            keys = f"row_number() OVER () AS number, {', '.join(self._keys(scan))}"
            base.execute(f"CREATE TABLE keyed AS SELECT {keys} FROM {scan.relation}")
            base.execute(f"CREATE TABLE numbered AS SELECT row_number() OVER () AS number, * FROM {scan.relation}")
            joined += " JOIN keyed k ON k.number = t.number"
            for place, (name, own) in enumerate(parties.items()):
                c = f"c{place}"
                named = zip(own.names, _named(name, own), strict=True)
                selected += [f"{c}.{quoted(inside)} AS {quoted(outside)}" for inside, outside in named]
                equal = [f"{c}.{quoted(column)} = k.id{k}" for k, column in enumerate(own.id)]
                joined += f" LEFT JOIN {text(str(own.path))} {c} ON {' AND '.join(equal)} AND {c}.{AS_OF} = k.point"
            query = f"SELECT {', '.join(selected)} FROM {joined} ORDER BY t.number"
            beside = path.with_suffix(".part")
            base.execute(f"COPY ({query}) TO {text(str(beside))} (FORMAT parquet)")
            beside.replace(path)
        return path


def _encoded(name: str, settings: Encode, table: _Table, path: Path, cache: Path, made: Made) -> Encoded:
    given = settings.model_dump(mode="json", exclude={"give", "events", "edges", "nodes"})
    files = {part: _file(part, getattr(settings, part), path, made) for part in ("events", "edges", "nodes")}
    sums = {part: source_sha256(source, name) for part, source in files.items() if source}
    code = b"".join(p.read_bytes() for p in sorted(Path(partner_node.encoders.__file__).parent.glob("*.py")))
    digest = hashlib.sha256(repr((given, sums, table.sha256)).encode() + code).hexdigest()[:16]
    out = cache / f"columns-{digest}.parquet"
    ids = settings.id if settings.events else table.ids
    if not out.exists():
        TALK.say(f"{name}: encoding its {'events' if settings.events else 'edges'}")
        request = _request(settings, files, table, out, cache / f"encoder-{digest}")
        if isinstance(request, Request):
            encode(request, name)
        else:
            encode_graph(request, name)
    with duckdb.connect() as base:
        columns = [row[0] for row in base.sql(f"DESCRIBE SELECT * FROM {text(str(out))}").fetchall()]
    features = [c for c in columns if c not in (*ids, AS_OF)]
    kept = {"all": features, "learned": [c for c in features if _LEARNED.fullmatch(c)]}
    kept["aggregates"] = [c for c in features if not _LEARNED.fullmatch(c)]
    return Encoded(out, ids, tuple(kept[settings.give]))


def _request(
    settings: Encode, files: dict[str, Source | None], table: _Table, out: Path, saved: Path
) -> Request | GraphRequest:
    """What is asked of an encoder: every row of the table, at its own date."""
    pairs, until = table.pairs, np.datetime64(settings.fit_until, "us") if settings.fit_until else None
    if events := files["events"]:
        keys = EventKeys(settings.id, settings.time, settings.type, settings.amount)
        wanted = Wanted(settings.columns, tuple(sorted(settings.windows)), settings.seed)
        return Request(events, keys, out, wanted, pairs["point"], pairs, saved=saved, until=until)
    edges, (first, second) = files["edges"], settings.ends
    assert edges
    (own,) = table.ids
    nodes = NodeKeys(files["nodes"], settings.id[0], settings.nodes_time) if files["nodes"] else None
    return GraphRequest(
        edges, EdgeKeys(first, second, settings.time, settings.amount, id=own), out, settings.columns, pairs["point"],
        settings.seed, nodes, pairs=pairs, saved=saved, until=until,
    )  # fmt: skip


def _file(part: str, source: Source | MadeUp | None, path: Path, made: Made) -> Source | None:
    if isinstance(source, MadeUp):
        return Source(kind="parquet", path=made(part))
    found = source and source.beside(path, Path())
    if found:
        ensure(found.path)
        if found.sha256 and source_sha256(found, part) != found.sha256:
            raise DataError(part, f"{found.path.name} has another SHA-256 than declared", "get the right file")
    return found
