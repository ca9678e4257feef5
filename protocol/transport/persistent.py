"""Trying again: the same envelope, with growing pauses, for as long as there is patience.

Only a `TransportError` is worth another try. A party that has answered before is given longer than one that never
did: it may be restarting, the other was most likely never started.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.errors import TransportError
from protocol.transport.base import FanOut, Link, Transport
from protocol.wire.envelope import Envelope


class TooSlow(TransportError):
    """The deadline of an exchange has passed. Asking again would take as long."""


@dataclass(frozen=True)
class Patience:
    """How long to try again after a first failure, in seconds.

    started_s: with a party that has answered before; first_s: with one that has not. pause_s: before the second
    try; it doubles with every try, up to longest_pause_s.
    """

    started_s: float = 20.0
    first_s: float = 2.0
    pause_s: float = 0.1
    longest_pause_s: float = 2.0

    def pauses(self, total_s: float) -> Iterator[float]:
        """The pauses between tries; their sum is at most total_s."""
        pause = self.pause_s
        while pause <= total_s:
            yield pause
            total_s -= pause
            pause = min(2 * pause, self.longest_pause_s)


class Persistent:
    """A link that tries again. It is called by one thread at a time."""

    def __init__(self, link: Link, patience: Patience) -> None:
        self._link, self._patience, self._started = link, patience, False

    def __call__(self, envelope: Envelope) -> Envelope:
        """The reply. Raises: TransportError of the last try; anything else at once."""
        total_s = self._patience.started_s if self._started else self._patience.first_s
        for pause_s in self._patience.pauses(total_s):
            try:
                return self._once(envelope)
            except TooSlow:
                raise
            except TransportError:
                time.sleep(pause_s)
        return self._once(envelope)

    def _once(self, envelope: Envelope) -> Envelope:
        reply = self._link(envelope)
        self._started = True
        return reply


@dataclass(frozen=True)
class _Through:
    """One party of a transport, as a link."""

    transport: Transport
    party: str

    def __call__(self, envelope: Envelope) -> Envelope:
        return self.transport.exchange({self.party: envelope})[self.party]


class Retrying(FanOut):
    """Any transport, each party of it tried again apart from the others."""

    def __init__(self, inner: Transport, parties: list[str], patience: Patience) -> None:
        super().__init__({party: Persistent(_Through(inner, party), patience) for party in parties})
        self._inner = inner

    def close(self) -> None:
        """Close the transport inside too."""
        super().close()
        self._inner.close()
