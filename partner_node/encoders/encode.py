"""From a file of events to a file of columns: an encoder is fitted or taken from its folder, then applied.

A row of the result is a customer, at one point in time. What comes after the point is not read for it, and an encoder
is fitted on what was known at the first point, unless another date is given.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from partner_node.encoders.aggregates import Aggregates
from partner_node.encoders.event_base import EventBase, opened
from partner_node.encoders.fitting import Wanted, device_of, fit, network_of, represented
from partner_node.encoders.keys import EventKeys
from partner_node.encoders.model_folder import Encoder, EventsDescribed, load, save
from partner_node.encoders.network import torch_for
from partner_node.encoders.sequences import Sequences, read_sequences
from partner_node.encoders.vocabulary import fit_vocabulary
from protocol.errors import DataError, UsageError
from protocol.table import Source
from protocol.table.dates import Moments
from protocol.table.scan import quoted, text

AS_OF: Final = "as_of"
"""The column of the point in time, where there are several."""
_ROWS: Final = 50_000
"""Points whose events are in memory at a time."""


@dataclass(frozen=True)
class Request:
    """One encoding. points: at which every customer is looked at; pairs: or each of these customers, at its own `at`.

    model: folder of a pinned encoder; without, one is fitted on the events up to `until` and saved in `saved`.
    """

    source: Source
    keys: EventKeys
    out: Path
    wanted: Wanted
    points: Moments
    pairs: dict[str, Any] | None = None
    model: Path | None = None
    saved: Path | None = None
    until: np.datetime64 | None = None


def encode(request: Request, party: str) -> tuple[Encoder[EventsDescribed], int]:
    """Write the columns to `out`, as Parquet; the encoder, and how many rows.

    Raises: UsageError: a file or torch is missing. DataError: the events cannot be used. IntegrityError: the encoder
    is not what it was.
    """
    pinned = load(request.model, EventsDescribed, party) if request.model else None
    if pinned and pinned.described.amounts != bool(request.keys.amount):
        wanted = "with" if pinned.described.amounts else "without"
        raise DataError(party, f"the encoder in {request.model} was fitted on events {wanted} amounts", "give the same")
    if (pinned.described.learned if pinned else request.wanted.columns) and not pinned:
        torch_for(party)  # before an hour's work, not after it
    beside = request.out.absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with opened(request.source, request.keys, request.points.max(), party, beside) as events:
        until = request.until if request.until is not None else request.points.min()
        vocabulary = pinned.described.vocabulary if pinned else fit_vocabulary(events.base, until)
        events.number(vocabulary)
        encoder = pinned or fit(events, vocabulary, until, request.wanted)
        if request.saved and not pinned:
            save(encoder, request.saved)
        if request.pairs is None:
            events.ask(request.points)
        else:
            events.ask_pairs(request.pairs)
        return encoder, _apply(events, encoder, request)


def _apply(events: EventBase, encoder: Encoder[EventsDescribed], request: Request) -> int:
    """Compute all columns piece by piece, so that memory does not grow with the customers, and write them."""
    rows = events.scalar("SELECT count(*) FROM asked")
    if not rows:
        raise DataError(events.party, "no customer has an event by the points asked for", "give a later --as-of")
    aggregates = Aggregates(encoder.described.vocabulary, encoder.described.windows, encoder.described.amounts)
    learning = _Learned(events, encoder) if encoder.described.learned else None
    for k, (asked, of_them) in enumerate(_pieces(events, rows)):
        query = aggregates.query(asked, of_them)
        events.base.execute(f"INSERT INTO found {query}" if k else f"CREATE TABLE found AS {query}")
        if learning:
            learning.add(asked)
    _write(events, encoder, aggregates, request)
    return rows


def _pieces(events: EventBase, rows: int) -> list[tuple[str, str]]:
    """Queries of the points of some customers and of their events."""
    people = events.scalar("SELECT count(*) FROM people")
    step = max(1, people * _ROWS // max(rows, 1))
    ranges = (f"entity >= {low} AND entity < {low + step}" for low in range(0, people, step))
    return [(f"SELECT entity, point FROM asked WHERE {r}", f"SELECT * FROM events WHERE {r}") for r in ranges]


class _Learned:
    """Fills the table `learned(entity, point, columns)`."""

    def __init__(self, events: EventBase, encoder: Encoder[EventsDescribed]) -> None:
        self._events, self._encoder = events, encoder
        self._torch = torch_for(events.party)
        self._device = device_of(self._torch)
        self._network = network_of(self._torch, self._device, encoder)
        columns = ", ".join(f"{quoted(name)} FLOAT" for name in encoder.learned_names)
        events.base.execute(f"CREATE TABLE learned (entity INTEGER, point TIMESTAMP, {columns})")

    def add(self, asked: str) -> None:
        """Learned columns of the points that a query gives."""
        sequences = read_sequences(self._events, self._encoder.described.vocabulary, asked)
        if not len(sequences):
            return
        values = self._columns(sequences)
        given = {"entity": sequences.entities, "point": sequences.at}
        named = {f"c{k}": np.ascontiguousarray(column) for k, column in enumerate(values.T)}
        self._events.base.register("given", {**given, **named})
        self._events.base.execute("INSERT INTO learned SELECT * FROM given")
        self._events.base.unregister("given")

    def _columns(self, sequences: Sequences) -> npt.NDArray[np.float32]:
        """A share of the sequences on each core; the network itself takes one."""
        assert self._encoder.components is not None
        kinds = len(self._encoder.described.vocabulary.names)
        parts = sequences.split(_ROWS // 10)

        def of_part(part: Sequences) -> npt.NDArray[np.float32]:
            return represented(self._torch, self._device, self._network, kinds, part)

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return self._encoder.components(np.concatenate(list(threads.map(of_part, parts))))


def _write(events: EventBase, encoder: Encoder[EventsDescribed], aggregates: Aggregates, request: Request) -> None:
    dated = len(request.points) > 1 or request.pairs is not None
    ids = [f"p.{inside} AS {quoted(name)}" for inside, name in zip(events.ids, events.keys.id, strict=True)]
    dates = [f"f.point AS {AS_OF}"] if dated else []
    hand = [f"f.{quoted(name)}" for name in aggregates.names]
    learned = [f"l.{quoted(name)}" for name in encoder.learned_names]
    joined = "found f JOIN people p ON p.entity = f.entity"
    if learned:
        joined += " JOIN learned l ON l.entity = f.entity AND l.point = f.point"
    selected = f"SELECT {', '.join((*ids, *dates, *hand, *learned))} FROM {joined} ORDER BY f.entity, f.point"
    about = f"{{snapshot: {text(str(request.points.max())[:10])}, encoder: {text(encoder.sha256)}}}"
    beside = request.out.with_name(request.out.name + ".part")
    try:
        events.base.execute(f"COPY ({selected}) TO {text(str(beside))} (FORMAT parquet, KV_METADATA {about})")
    except duckdb.IOException as error:
        beside.unlink(missing_ok=True)
        raise UsageError(
            events.party, f"{request.out.name} cannot be written", "check the folder and the disk"
        ) from error
    beside.replace(request.out)
