"""The partner's half of the alignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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
)
from protocol.errors import DataError, IntegrityError, PeerError
from protocol.he.streams import digest, fresh_key, permutation
from protocol.messages import I64, Message


@dataclass(frozen=True)
class AlignmentState:
    """An alignment under way. secret: b. order: the table's row at each place, fresh and random, shape (rows,)."""

    alignment: str = ""
    bank_rows: int = 0
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

    def handle(self, message: Message) -> Message:
        """The reply to one message of an alignment."""
        if isinstance(message, Start):
            return self._start(message)
        if not self.state.secret:
            raise PeerError(self.bank, "goes on with an alignment that was not begun", "run `bank-node align` again")
        match message:
            case BlindedIds():
                return TwiceBlinded(points=self._raised(message))
            case OwnIdsQuery():
                return self._own_ids(message)
            case Matched():
                return self._finish(self.state.order, message.matches)
            case Positions():
                return self._finish(self._shared_order(message), int((message.order >= 0).sum()))
        raise PeerError(self.bank, f"sent {message.KIND} in an alignment", "run the same version on both sides")

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
        nonce = fresh_key()
        parts = (b"fedwarn.v1 alignment", start.setting.encode(), self.bank.encode(), self.party.encode())
        name = digest(*parts, start.nonce, nonce).hex()
        self.state = AlignmentState(name, start.rows, group.random_scalar(), permutation(len(self.ids)))
        return Started(rows=len(self.ids), nonce=nonce)

    def _raised(self, blinded: BlindedIds) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        try:
            return group.raised(blinded.points, self.state.secret)
        except ValueError:
            raise IntegrityError(
                self.bank, "sent what is no blinded id", "run the same version on both sides"
            ) from None

    def _own_ids(self, query: OwnIdsQuery) -> OwnIds:
        rows = self.state.order[max(0, query.first) : max(0, query.first + query.count)]
        return OwnIds(points=group.hashed_and_raised([self.ids[i] for i in rows], self.state.secret))

    def _shared_order(self, positions: Positions) -> I64:
        if self.setting != "shared":
            raise PeerError(
                self.bank, "names the matched rows in a one-sided alignment", "set the same alignment at both nodes"
            )
        order = positions.order
        held = order[order >= 0]
        if order.ndim != 1 or (held >= len(self.ids)).any() or len(np.unique(held)) != len(held):
            raise IntegrityError(self.bank, "sent impossible positions", "run the same version on both sides")
        return np.where(order >= 0, self.state.order[order], -1)

    def _finish(self, order: I64, matches: int) -> Aligned:
        """Keep the order, forget the secret."""
        if not 0 < matches <= min(self.state.bank_rows, len(self.ids)):
            raise IntegrityError(self.bank, "declared an impossible number of matches", "run `bank-node align` again")
        state = self.state
        self.keep(PartnerAlignment(state.alignment, self.bank, self.setting, state.bank_rows, matches, order))
        self.state = replace(state, secret=b"", order=np.zeros(0, dtype=np.int64))
        return Aligned(alignment=state.alignment)
