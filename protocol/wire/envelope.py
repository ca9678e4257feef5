"""The envelope: all that a transport sees of a message, and all that it needs."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from protocol.fields import as_shown, printable

LONGEST_NAME: Final = 64
"""Characters of a session or a kind."""
LAST_SEQUENCE: Final = (1 << 53) - 1
"""SQLite, JSON and MessagePack hold every number up to this one."""


@dataclass(frozen=True)
class Envelope:
    """One message as bytes, in its place in a session.

    session: 32 hex digits, drawn by the bank; a reply repeats its request's. sequence: 0, 1, 2, ... in the
    session; a reply repeats its request's. kind: the message's, as in the catalogue. body: its encoding.
    """

    session: str
    sequence: int
    kind: str
    body: bytes = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the body, 32 bytes."""
        return hashlib.sha256(self.body).digest()

    @property
    def fault(self) -> str:
        """What is wrong with its head, or "" if nothing is."""
        if not (0 < len(self.session) <= LONGEST_NAME and 0 < len(self.kind) <= LONGEST_NAME):
            return "an envelope without a head"
        if not (printable(self.session) and printable(self.kind)):
            return "an envelope whose head cannot be shown"
        if not 0 <= self.sequence <= LAST_SEQUENCE:
            return "an envelope without a number"
        return ""

    @property
    def presentable(self) -> "Envelope":
        """The same under a head that can be shown and kept, whatever a peer wrote there."""
        names = as_shown(self.session, LONGEST_NAME), as_shown(self.kind, LONGEST_NAME)
        return Envelope(names[0], min(max(self.sequence, 0), LAST_SEQUENCE), names[1], self.body)

    @property
    def mark(self) -> "Mark":
        """What it is known by: two envelopes of one mark are the same, bit for bit."""
        return Mark(self.session, self.sequence, self.kind, self.digest)


class Mark(NamedTuple):
    """An envelope without its body."""

    session: str
    sequence: int
    kind: str
    digest: bytes


Envelopes = Mapping[str, Envelope]
"""By party."""

ExchangeEnvelopes = Callable[[Envelopes], Envelopes]
"""A transport, as a session sees it: one envelope to each named party, one from each."""

Serve = Callable[[str, Envelope], Envelope]
"""A node, as a transport sees it: the authenticated peer's name and its envelope in, the reply out."""
