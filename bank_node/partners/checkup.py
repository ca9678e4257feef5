"""The bank's half of the checkup: probe a partner's clock and link, and exchange formats of ids."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.algorithms.checkup import LARGE, Echo, Formats, FormatsQuery, IdFormats, Probe
from protocol.role import Script, ask

SMALL_PROBES: Final = 3


@dataclass(frozen=True)
class CheckedUp:
    """What was measured.

    skew_s: the partner's clock less ours. latency_s: of a round trip. up, down: bytes a second, to it and back.
    """

    skew_s: float
    latency_s: float
    up: float
    down: float
    formats: IdFormats
    schema: str


def check_up(partner: str, own: IdFormats, now: Callable[[], float], timer: Callable[[], float]) -> Script[CheckedUp]:
    """Examine one partner. now: seconds since 1970. timer: monotonic, seconds."""
    rounds = []
    for _ in range(SMALL_PROBES):
        rounds.append((yield from _probe(partner, 0, 0, now, timer)))
    latency, skew = min(rounds)
    up = (yield from _probe(partner, LARGE, 0, now, timer))[0]
    down = (yield from _probe(partner, 0, LARGE, now, timer))[0]
    query = FormatsQuery(formats=own, skew_s=skew)
    told = (yield from ask({partner: query}, Formats))[partner]
    return CheckedUp(skew, latency, _speed(up, latency), _speed(down, latency), told.formats, told.schema)


def _probe(
    partner: str, filler: int, wanted: int, now: Callable[[], float], timer: Callable[[], float]
) -> Script[tuple[float, float]]:
    """One round trip: its seconds, and the skew, taking the answer to be given half-way."""
    sent, began = now(), timer()
    probe = Probe(time_s=sent, filler=bytes(filler), wanted=wanted)
    echo = (yield from ask({partner: probe}, Echo))[partner]
    took = timer() - began
    return took, echo.time_s - (sent + took / 2)


def _speed(took_s: float, latency_s: float) -> float:
    return LARGE / max(took_s - latency_s, 1e-6)
