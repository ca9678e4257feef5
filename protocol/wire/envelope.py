"""The envelope: all that a transport sees of a message, and all that it needs."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


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
