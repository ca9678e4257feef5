"""How often a peer may ask for what is costly, and how it is slowed down where its requests are refused.

A rate is a token bucket a kind: no honest run comes near it, and ten thousand layouts in a minute do not get through.
A peer that was refused ten times within a minute waits longer with every further refusal, so that trying all labels,
names or digests takes for ever. Both count by the monotonic clock, and what they remember is bounded.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from protocol.errors import RefusedError

RATES: Final[Mapping[str, int]] = {
    "agreement.hello": 600,  # a sweep greets before every run
    "checkup.probe": 600,  # a doctor sends a dozen
    "checkup.formats_query": 60,  # a doctor sends one
    "alignment.start": 120,  # one a table, or a file to be scored
    "run.opening": 120,  # one a training
    "binning.layout_query": 600,  # one a way of binning and run
    "binning.hint_query": 120,  # each takes the partner seconds
    "glm.design": 600,  # one a model and party set
    "glm.hint_query": 120,  # each takes the partner seconds
    "masks.key_query": 600,  # one a model where two partners take part
    "register.opening": 600,  # one a refresh or look-up
    "register.evaluation_query": 600,  # one a part of a refresh, or a look-up
    "register.proof_query": 600,  # one a refresh; each takes the partner a tenth of a second
    "scoring.query": 600,  # one a model and part of a file
}
"""Requests a minute of one peer; kinds that are not named are bounded by budgets and by their order in a session."""
MINUTE_S: Final = 60.0
PATIENCE: Final = 10
"""Refusals within a minute that slow nobody down."""
STEP_S: Final = 0.5
LONGEST_S: Final = 10.0
MOST_WAITING: Final = 2
"""Requests of one peer that wait at a time: each holds a thread of the node, and others come to be answered too."""


@dataclass
class _Bucket:
    tokens: float
    at: float


@dataclass
class Limits:
    """Of all peers of a node. clock: seconds, monotonic. sleep: lets a peer wait. rates: a minute, by kind."""

    party: str
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    rates: Mapping[str, int] = field(default_factory=lambda: RATES)

    def __post_init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._refusals: dict[str, deque[float]] = {}
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    def admit(self, peer: str, kind: str) -> None:
        """Count a request. Raises: RefusedError: the peer has asked for this kind too often."""
        rate = self.rates.get(kind)
        if rate is None:
            return
        with self._lock:
            now = self.clock()
            bucket = self._buckets.setdefault((peer, kind), _Bucket(float(rate), now))
            bucket.tokens = min(float(rate), bucket.tokens + (now - bucket.at) * rate / MINUTE_S)
            bucket.at = now
            if bucket.tokens < 1:
                wait_s = (1 - bucket.tokens) * MINUTE_S / rate
                raise RefusedError(
                    self.party,
                    f"was asked for {kind} more than {rate} times a minute",
                    f"wait {ceil(wait_s)} s",
                    "rate",
                )
            bucket.tokens -= 1

    def refused(self, peer: str) -> int:
        """Count a refusal; how many there were within a minute."""
        with self._lock:
            now = self.clock()
            times = self._refusals.setdefault(peer, deque(maxlen=1000))
            times.append(now)
            while times[0] < now - MINUTE_S:
                times.popleft()
            return len(times)

    def wait(self, peer: str) -> None:
        """Let a peer wait whose requests were refused again and again.

        Raises: RefusedError: so many of its requests wait already that one more is turned away unread.
        """
        with self._lock:
            now, times = self.clock(), self._refusals.get(peer, deque())
            recent = sum(at >= now - MINUTE_S for at in times)
            if recent < PATIENCE:
                return
            if self._waiting[peer] >= MOST_WAITING:
                thing = f"lets {MOST_WAITING} requests wait of a peer that was refused {recent} times within a minute"
                raise RefusedError(self.party, thing, "send one request at a time", "rate")
            self._waiting[peer] += 1
        try:
            self.sleep(min(LONGEST_S, STEP_S * (recent - PATIENCE + 1)))
        finally:
            with self._lock:
                self._waiting[peer] -= 1
