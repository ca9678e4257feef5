"""Faults as data: a transport that does to each delivery what a list says. For tests.

A list that once found a bug can be kept as it is. Put `Retrying` around it to see the faults survived.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, get_args

from protocol.errors import TransportError
from protocol.transport.base import Transport
from protocol.wire.envelope import Envelope, Envelopes

Fault = Literal["none", "lose request", "lose reply", "duplicate", "stale", "restart", "die"]
"""What happens to one delivery.

lose request: it does not arrive. lose reply: it is answered, and the answer does not arrive. duplicate: it arrives
twice. stale: the first request ever made arrives again before it. restart: the party restarts before it. die: the
party answers, and restarts before the answer is out.
"""

FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
_LOSSES: Final = ("lose request", "lose reply", "die")


def never(party: str) -> None:
    """A party that does not restart."""


class Faulty:
    """Any transport, with faults.

    Args:
        faults: by party, one a delivery; without faults when they are used up.
        restart: does what a restart of that party does.
    """

    def __init__(
        self, inner: Transport, faults: Mapping[str, Sequence[Fault]], restart: Callable[[str], None] = never
    ) -> None:
        self._inner, self._restart = inner, restart
        self._faults = {party: list(reversed(listed)) for party, listed in faults.items()}
        self._first: dict[str, Envelope] = {}
        self._lock = threading.Lock()

    def exchange(self, envelopes: Envelopes) -> Envelopes:
        """As `Transport.exchange`, party by party. Raises: TransportError: a request or a reply was lost."""
        return {party: self._deliver(party, envelope) for party, envelope in envelopes.items()}

    def close(self) -> None:
        """Close the transport inside."""
        self._inner.close()

    def _deliver(self, party: str, envelope: Envelope) -> Envelope:
        with self._lock:
            listed = self._faults.get(party)
            fault = listed.pop() if listed else "none"
            first = self._first.setdefault(party, envelope)
        if fault == "restart":
            self._restart(party)
        if fault == "stale":
            self._inner.exchange({party: first})
        reply = None if fault == "lose request" else self._inner.exchange({party: envelope})[party]
        if fault == "duplicate":
            reply = self._inner.exchange({party: envelope})[party]
        if fault == "die":
            self._restart(party)
        if reply is None or fault in _LOSSES:
            raise TransportError(party, f"had a fault on the way ({fault})", "ask again")
        return reply
