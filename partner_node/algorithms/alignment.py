"""The partner's half of the alignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from protocol import group
from protocol.algorithms.alignment import (
    Aligned,
    BlindedIds,
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
from protocol.messages import I64, Message


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


@dataclass
class AlignmentAnswerer:
    """Answers one bank's alignments. ids: of the partner's table. keep: is given each finished alignment."""

    party: str
    bank: str
    setting: str
    id_columns: int
    ids: Sequence[bytes] = field(repr=False)
    keep: Callable[[PartnerAlignment], None]
    state: AlignmentState = field(default_factory=AlignmentState)
    _own: group.Pending | None = field(default=None, init=False, repr=False)
    """The partner's blinded ids, computed ahead; made again from the state where it is not there."""

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
                return self._finish(self.state.order, message.matches)
            case Positions() if self.setting == "shared":
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
        return OwnIds(points=ahead.result(query.first, query.count))

    def _compute_ahead(self) -> group.Pending:
        """Blind the whole table in the background, while the bank's ids come in."""
        if self._own is not None:
            self._own.cancel()
        ids = [self.ids[i] for i in self.state.order]
        self._own = group.start(partial(group.hash_and_multiply, scalar=self.state.secret), ids)
        return self._own

    def _shared_order(self, positions: Positions) -> I64:
        order = positions.order
        held = order[order >= 0]
        possible = order.ndim == 1 and len(order) <= self.state.bank_rows and bool((order >= -1).all())
        if not possible or bool((held >= len(self.ids)).any()) or len(np.unique(held)) != len(held):
            raise IntegrityError(self.bank, "sent impossible positions", "run the same version on both sides")
        return np.where(order >= 0, self.state.order[order], -1)

    def _finish(self, order: I64, matches: int) -> Aligned:
        """Keep the order, forget the secret."""
        if not 0 < matches <= min(self.state.bank_rows, len(self.ids)):
            raise IntegrityError(self.bank, "declared an impossible number of matches", "run `bank-node align` again")
        state = self.state
        self.keep(PartnerAlignment(state.alignment, self.bank, self.setting, state.bank_rows, matches, order))
        self.state, self._own = replace(state, secret=b"", order=np.zeros(0, dtype=np.int64)), None
        return Aligned(alignment=state.alignment)
