"""The partner's half of the alignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from protocol.algorithms import group
from protocol.algorithms.alignment import (
    NO_ROW_KEYS,
    Aligned,
    BlindedIds,
    Dated,
    Held,
    Matched,
    OwnIds,
    OwnIdsQuery,
    PartnerAlignment,
    Positions,
    Start,
    Started,
    TwiceBlinded,
    name,
)
from protocol.errors import DataError, IntegrityError, PeerError
from protocol.he.streams import KEY_BYTES, fresh_key, permutation
from protocol.messages import I64, U8, Message
from protocol.table import Table
from protocol.table.dates import EXACT, Grid, Moments, coded, latest, lay_out

_MOST_DATED: Final = 20_000_000
"""Ids times points in time that a partner lays out."""


@dataclass(frozen=True)
class AlignmentState:
    """An alignment under way.

    bank_rows: what the bank declared. received: how many of its ids have come. secret: b.
    order: the table's row at each place, fresh and random, shape (rows,).
    """

    alignment: str = ""
    bank_rows: int = 0
    received: int = 0
    secret: bytes = field(default=b"", repr=False)
    order: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)


@dataclass(frozen=True)
class DatedRecords:
    """The records behind the ids. dating: as agreed. On a grid, record: the row of the table of each id.

    With exact dates: entity, which of the ids a row of the table is of, and as_of, its date.
    """

    dating: str
    record: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    entity: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    as_of: Moments = field(default_factory=lambda: np.zeros(0, dtype="datetime64[us]"), repr=False)


def dated_records(table: Table, grid: Grid | None) -> tuple[list[bytes], DatedRecords | None]:
    """A table's ids, and the records behind them if they have dates. grid: None where exact dates are sent.

    Raises: DataError: no record is on the grid, or there are so many points that ids and points fill the memory.
    """
    if table.as_of is None:
        return table.ids, None
    if grid is None:
        ids, entity = coded(table.entities)
        return ids, DatedRecords(EXACT, entity=entity, as_of=table.as_of)
    _require_few_points(table, grid)
    ids, record = lay_out(table.entities, table.as_of, grid)
    if not ids:
        raise DataError(
            table.party, f"has no record up to {grid.last}", "set first and last under [data] to span its records"
        )
    return ids, DatedRecords(grid.text, record=record)


def _require_few_points(table: Table, grid: Grid) -> None:
    """One date such as 9999-12-31 makes a grid of 96,000 months. Raises: DataError."""
    points, ids = len(grid.points), len(set(table.entities))
    if ids * points > _MOST_DATED:
        thing = f"has {ids} ids at {points} points in time from {grid.first} to {grid.last}, which are too many"
        remedy = "correct dates that lie far off, set first and last under [data], or a longer period"
        raise DataError(table.party, thing, remedy)


@dataclass
class AlignmentAnswerer:
    """Answers one bank's alignments. ids: of the partner's table. keep: is given each finished alignment.

    dated: where records have dates: which record stands behind each of the ids.
    """

    party: str
    bank: str
    setting: str
    id_columns: int
    ids: Sequence[bytes] = field(repr=False)
    keep: Callable[[PartnerAlignment], None]
    state: AlignmentState = field(default_factory=AlignmentState)
    dated: DatedRecords | None = None
    _own: group.Pending | None = field(default=None, init=False, repr=False)
    """Tags and keys of the partner's blinded ids, computed ahead; made again from the state where they are not."""

    def handle(self, message: Message) -> Message:
        """The reply to one message of an alignment."""
        if isinstance(message, Start):
            return self._start(message)
        if not self.state.secret:
            raise PeerError(self.bank, "goes on with an alignment that was not begun", "run `bank-node align` again")
        match message:
            case BlindedIds():
                return self._twice_blinded(message)
            case OwnIdsQuery():
                return self._own_ids(message)
            case Matched() if self.setting == "one-sided":
                order = self.state.order
                return self._finish(order if self.dated is None else self.dated.record[order], message.matches)
            case Dated() if self.setting == "shared" and self.dated is not None:
                return self._dated(message, self.dated)
            case Positions() if self.setting == "shared" and self.dated is None:
                return self._finish(self._shared_order(message), int((message.order >= 0).sum()))
        raise PeerError(
            self.bank, f"sent {message.KIND} in a {self.setting} alignment", "run the same version on both sides"
        )

    def _start(self, start: Start) -> Started:
        """A fresh secret and a fresh order for this alignment alone."""
        if start.setting != self.setting:
            raise PeerError(
                self.bank, f"asks for alignment {start.setting!r}, {self.party} is set to {self.setting!r}",
                "set the same alignment at both nodes",
            )  # fmt: skip
        self._require_dating(start.dating)
        if start.id_columns != self.id_columns:
            raise DataError(
                self.bank, f"has ids of {start.id_columns} columns, {self.party} of {self.id_columns}",
                "name the same id columns at both nodes",
            )  # fmt: skip
        if start.rows < 1 or len(start.nonce) != KEY_BYTES:
            raise IntegrityError(self.bank, "began an impossible alignment", "run the same version on both sides")
        nonce = fresh_key()
        known_as = name(start.setting, self.bank, self.party, start.nonce, nonce)
        self.state = AlignmentState(known_as, start.rows, 0, group.random_scalar(), permutation(len(self.ids)))
        self._compute_ahead()
        return Started(rows=len(self.ids), nonce=nonce)

    def _require_dating(self, asked: str) -> None:
        """Both sides' rows have dates or neither's, on one grid."""
        ours = self.dated.dating if self.dated else ""
        if asked and not ours:
            raise DataError(
                self.party, "has columns without a date, and the job is at points in time",
                "name the date of its records as as_of under [data] of its node.toml",
            )  # fmt: skip
        if ours and not asked:
            raise DataError(
                self.bank, f"asks for rows without dates, and {self.party} keeps dated records", "set data.as_of"
            )
        if asked != ours:
            raise PeerError(
                self.bank, f"has its points in time at {asked!r}, {self.party} at {ours!r}",
                "set the same period, first and last under [data] at both nodes",
            )  # fmt: skip

    def _twice_blinded(self, blinded: BlindedIds) -> TwiceBlinded:
        """No more ids than declared: each tells the bank whether one more person is in the table."""
        received = self.state.received + len(blinded.points)
        if received > self.state.bank_rows:
            raise IntegrityError(self.bank, "sent more ids than it declared", "run `bank-node align` again")
        try:
            points = group.raised(blinded.points, self.state.secret)
        except group.NotAPoint:
            raise IntegrityError(
                self.bank, "sent what is no blinded id", "run the same version on both sides"
            ) from None
        self.state = replace(self.state, received=received)
        return TwiceBlinded(points=points)

    def _own_ids(self, query: OwnIdsQuery) -> OwnIds:
        if query.first < 0 or query.count < 0 or query.first + query.count > len(self.ids):
            raise IntegrityError(self.bank, "asked for rows that do not exist", "run the same version on both sides")
        ahead = self._own or self._compute_ahead()
        return OwnIds(tags=ahead.result(query.first, query.count)[:, : group.TAG_BYTES])

    def _row_keys(self) -> U8:
        """The key of every row, in the order that was sent; with shared alignment none is kept.

        They were computed with the tags, unless another worker sent those: then they are computed again.
        """
        if self.setting == "shared":
            return NO_ROW_KEYS
        ahead = self._own or self._compute_ahead()
        return np.ascontiguousarray(ahead.result()[:, group.TAG_BYTES :])

    def _compute_ahead(self) -> group.Pending:
        """Blind the whole table in the background, and make tags and keys of it, while the bank's ids come in."""
        if self._own is not None:
            self._own.cancel()
        ids = [self.ids[i] for i in self.state.order]
        self._own = group.start(partial(group.secrets_of_ids, scalar=self.state.secret), ids)
        return self._own

    def _dated(self, dated: Dated, records: DatedRecords) -> Held:
        """For each row the latest record not after its date; the bank is told which rows have one."""
        order = dated.order
        possible = order.ndim == 1 and order.shape == dated.as_of.shape and bool((order >= -1).all())
        if not possible or bool((order >= len(self.ids)).any()):
            raise IntegrityError(self.bank, "sent impossible positions", "run the same version on both sides")
        asked = np.flatnonzero(order >= 0)
        rows = np.full(len(order), -1, dtype=np.int64)
        at = dated.as_of[asked].astype("datetime64[us]")
        rows[asked] = latest(records.entity, records.as_of, self.state.order[order[asked]], at)
        held = rows >= 0
        if not held.any():
            raise DataError(
                self.party, "has no record of any matched id at its date", "compare the dates of both sides' records"
            )
        alignment = self.state.alignment
        self._keep(rows, int(held.sum()))
        return Held(alignment=alignment, held=np.packbits(held))

    def _shared_order(self, positions: Positions) -> I64:
        order = positions.order
        held = order[order >= 0]
        possible = order.ndim == 1 and len(order) <= self.state.bank_rows and bool((order >= -1).all())
        if not possible or bool((held >= len(self.ids)).any()) or len(np.unique(held)) != len(held):
            raise IntegrityError(self.bank, "sent impossible positions", "run the same version on both sides")
        return np.where(order >= 0, self.state.order[order], -1)

    def _finish(self, order: I64, matches: int) -> Aligned:
        """Keep the order and the row keys, forget the secret."""
        if not 0 < matches <= min(self.state.received, len(self.ids)):
            raise IntegrityError(self.bank, "declared an impossible number of matches", "run `bank-node align` again")
        self._keep(order, matches)
        return Aligned(alignment=self.state.alignment)

    def _keep(self, order: I64, matches: int) -> None:
        state, keys = self.state, self._row_keys()
        self.keep(PartnerAlignment(state.alignment, self.bank, self.setting, state.bank_rows, matches, order, keys))
        self.state, self._own = replace(state, secret=b"", order=np.zeros(0, dtype=np.int64)), None
