"""Events in DuckDB, as the encoder reads them: nothing later than the last point in time is ever loaded.

Amounts are whole numbers of a ten-thousandth and gaps whole seconds, so that a sum does not depend on the order in
which threads add: the same events give the same bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import numpy as np

from partner_node.encoders.keys import EventKeys
from partner_node.encoders.vocabulary import Vocabulary
from protocol.errors import DataError, nearest
from protocol.table import Source
from protocol.table.dates import Moments
from protocol.table.opening import made_plain
from protocol.table.reading import require_source
from protocol.table.scan import Scan, id_text, is_number, quoted

UNITS: Final = 10_000
"""Of an amount: four decimals count."""
_LARGEST: Final = 9e14
"""An amount whose units still fit 64 bits."""
_MEMORY: Final = "1500MB"
_FIRST: Final = "(SELECT entity, min(t) AS first FROM events GROUP BY entity)"


@dataclass(frozen=True)
class EventBase:
    """Tables `raw(id0.., t, kind, amount)`, after `number` also `people(entity, id0..)` and `events(entity, ...)`."""

    base: duckdb.DuckDBPyConnection
    keys: EventKeys
    party: str

    @property
    def ids(self) -> tuple[str, ...]:
        """The id columns as they are called inside."""
        return tuple(f"id{k}" for k in range(len(self.keys.id)))

    def number(self, vocabulary: Vocabulary) -> int:
        """Give customers numbers in order of id, and lay events out by customer and time; how many customers."""
        ids = ", ".join(self.ids)
        self.base.execute(
            f"CREATE TABLE people AS SELECT (row_number() OVER (ORDER BY {ids}) - 1)::INTEGER AS entity, {ids} "
            f"FROM (SELECT DISTINCT {ids} FROM raw) ORDER BY entity"
        )
        self.base.execute(
            f"CREATE TABLE events AS SELECT entity, t, {vocabulary.code} AS code, amount, "
            "epoch(t)::BIGINT - lag(epoch(t)::BIGINT) OVER (PARTITION BY entity ORDER BY t, kind, amount) AS gap "
            f"FROM raw JOIN people USING ({ids}) ORDER BY entity, t, kind, amount"
        )
        return self.scalar("SELECT count(*) FROM people")

    def scalar(self, query: str, *values: object) -> int:
        """The one whole number of a query."""
        ((found,),) = self.base.execute(query, list(values)).fetchall()
        return int(found)

    def ask(self, points: Moments) -> None:
        """Table `asked(entity, point)`: every point at which a customer has had an event."""
        self.base.register("given", {"point": points.astype("datetime64[us]")})
        self.base.execute(
            f"CREATE TABLE asked AS SELECT entity, point FROM {_FIRST} JOIN given ON first <= point ORDER BY 1, 2"
        )
        self.base.unregister("given")

    def ask_pairs(self, pairs: dict[str, Any]) -> None:
        """The same for customers, columns `id0`.. of text, each at its own `point` if it has an event by then."""
        self.base.register("given", pairs)
        self.base.execute(
            f"CREATE TABLE asked AS SELECT DISTINCT p.entity, g.point FROM given g JOIN people p "
            f"USING ({', '.join(self.ids)}) JOIN {_FIRST} f ON f.entity = p.entity AND first <= g.point ORDER BY 1, 2"
        )
        self.base.unregister("given")


@contextmanager
def opened(source: Source, keys: EventKeys, last: np.datetime64, party: str, beside: Path) -> Iterator[EventBase]:
    """The events up to a moment, in a database of its own below the folder `beside`, which may spill to the disk.

    Raises: UsageError: the file is missing. DataError: it lacks a column, or a date, an id or an amount is wrong.
    """
    require_source(source, party)
    with (
        TemporaryDirectory(dir=beside, prefix=".encode-") as folder,
        made_plain(source, party) as plain,
        duckdb.connect(Path(folder) / "events.duckdb") as base,
    ):
        base.execute("SET enable_progress_bar = false")
        base.execute(f"SET memory_limit = '{_MEMORY}'; SET temp_directory = '{folder}'")
        texts = (keys.kind,) if keys.kind else ()
        scan = Scan(base, plain, keys.id, ("",), party, texts)
        _require_columns(scan, keys, source.path.name, party)
        _load(base, scan, keys, last, source.path.name, party)
        yield EventBase(base, keys, party)


def _require_columns(scan: Scan, keys: EventKeys, name: str, party: str) -> None:
    for column in (*keys.id, keys.time, keys.kind, keys.amount):
        if column and column not in scan.types:
            thing = f"column {column!r} is not in {name}{nearest(column, list(scan.types))}"
            raise DataError(party, thing, "correct the name")
    if keys.amount and not is_number(scan.types[keys.amount]):
        raise DataError(party, f"column {keys.amount!r} of {name} is no number", "name a column of amounts")


def _load(
    base: duckdb.DuckDBPyConnection, scan: Scan, keys: EventKeys, last: np.datetime64, name: str, party: str
) -> None:
    ids = [f"CAST({id_text(c, scan.types[c])} AS VARCHAR) AS id{k}" for k, c in enumerate(keys.id)]
    kind = f"coalesce(CAST({quoted(keys.kind)} AS VARCHAR), 'missing')" if keys.kind else "'events'"
    amount = f"round({quoted(keys.amount)} * {UNITS})::BIGINT" if keys.amount else "NULL::BIGINT"
    moment = f"CAST({quoted(keys.time)} AS TIMESTAMP)"
    missing = " OR ".join(f"{quoted(c)} IS NULL" for c in (*keys.id, keys.time))
    large = (
        f"abs({quoted(keys.amount)}) > {_LARGEST} OR isnan({quoted(keys.amount)}::DOUBLE)" if keys.amount else "false"
    )
    try:
        checked = f"SELECT count(*) FILTER ({missing}), count(*) FILTER ({large}) FROM {scan.relation}"
        ((empty, huge),) = base.execute(checked).fetchall()
        base.execute(
            f"CREATE TABLE raw AS SELECT {', '.join(ids)}, {moment} AS t, {kind} AS kind, {amount} AS amount "
            f"FROM {scan.relation} WHERE {moment} <= ? AND NOT coalesce({large}, false)",
            [last],
        )
    except duckdb.ConversionException:
        thing = f"column {keys.time!r} of {name} is no date in some rows"
        raise DataError(party, thing, "write it as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS") from None
    except duckdb.Error as error:
        raise scan.unreadable(error) from None
    if empty or huge:
        found = f"{empty} events without an id or a date" if empty else f"{huge} amounts beyond {_LARGEST:g}"
        raise DataError(party, f"{name} has {found}", "correct or drop them")
    if not base.sql("SELECT count(*) FROM raw").fetchall()[0][0]:
        raise DataError(party, f"{name} has no event up to {str(last)[:10]}", "give a later --as-of")
