"""What every transport is: envelopes to some parties at once, and one back from each."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from protocol.wire.envelope import Envelope, Envelopes


class Transport(Protocol):
    """Carries envelopes and knows nothing of what is in them."""

    def exchange(self, envelopes: Envelopes) -> Envelopes:
        """Send to all parties at once; return the reply of each, when all are here.

        Raises:
            TransportError: a party is down, unreachable or too slow. Others may have answered: ask all again.
            PeerError: a party is not who it should be.
        """

    def close(self) -> None:
        """Let go of connections and threads."""


class Link(Protocol):
    """The way to one party."""

    def __call__(self, envelope: Envelope) -> Envelope:
        """Its reply. Raises as `Transport.exchange` does."""


class FanOut:
    """A transport made of one link a party, each in a thread of its own."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = dict(links)
        self._threads = ThreadPoolExecutor(max(1, len(self._links)), thread_name_prefix="link")

    def exchange(self, envelopes: Envelopes) -> Envelopes:
        """As `Transport.exchange`. When several parties fail, the first one's error is raised, after all ended."""
        if len(envelopes) == 1:
            return {party: self._links[party](envelope) for party, envelope in envelopes.items()}
        calls = {p: self._threads.submit(self._links[p], envelope) for p, envelope in envelopes.items()}
        errors = [call.exception() for call in calls.values()]
        for error in errors:
            if error is not None:
                raise error
        return {party: call.result() for party, call in calls.items()}

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown()
