"""How often a peer may ask, and how long it waits after refusals: by a clock that the test moves."""

import importlib
import pkgutil

import pytest

import protocol.algorithms
from protocol.errors import RefusedError
from protocol.messages import CATALOGUE
from protocol.wire.limits import LONGEST_S, PATIENCE, RATES, Limits

HINT = "binning.hint_query"
LAYOUT = "binning.layout_query"


class Clock:
    """Seconds, and the naps taken."""

    def __init__(self) -> None:
        self.now, self.naps = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits("telecom", clock, clock.sleep)


def admitted(limits: Limits, clock: Clock, kind: str, times: int, over_s: float) -> int:
    """How many of so many requests, evenly over a time, are admitted."""
    count, rules = 0, set[str]()
    for _ in range(times):
        clock.now += over_s / times
        try:
            limits.admit("bank", kind)
        except RefusedError as error:
            rules.add(error.rule)
        else:
            count += 1
    assert rules <= {"rate"}
    return count


def test_ten_thousand_layouts_in_a_minute_do_not_get_through(limits: Limits, clock: Clock) -> None:
    assert admitted(limits, clock, LAYOUT, 10_000, 60) <= 2 * RATES[LAYOUT]
    assert admitted(limits, clock, LAYOUT, 100_000, 600) <= 10 * RATES[LAYOUT] + 1


def test_every_rate_is_of_a_kind_that_there_is() -> None:
    for module in pkgutil.iter_modules(protocol.algorithms.__path__):
        importlib.import_module(f"protocol.algorithms.{module.name}")
    assert set(RATES) <= set(CATALOGUE)


def test_a_rate_is_kept_for_ever_by_who_stays_below_it(limits: Limits, clock: Clock) -> None:
    asked = RATES[HINT] * 10
    assert admitted(limits, clock, HINT, asked, 601) == asked


def test_buckets_of_kinds_and_peers_are_apart_and_others_unbounded(limits: Limits, clock: Clock) -> None:
    assert admitted(limits, clock, HINT, RATES[HINT] + 1, 0.01) == RATES[HINT]
    limits.admit("another bank", HINT)
    limits.admit("bank", LAYOUT)
    for _ in range(100_000):
        limits.admit("bank", "boosting.sums_query")
    assert len(limits._buckets) == 3, "kinds without a rate take no memory"


def test_the_sentence_says_how_long_to_wait(limits: Limits, clock: Clock) -> None:
    admitted(limits, clock, HINT, RATES[HINT], 0.01)
    with pytest.raises(RefusedError, match=r"more than 120 times a minute; wait 1 s"):
        limits.admit("bank", HINT)


def test_the_delay_grows_to_its_end_and_passes_with_time(limits: Limits, clock: Clock) -> None:
    for _ in range(PATIENCE - 1):
        limits.refused("bank")
        limits.wait("bank")
    assert clock.naps == []
    for k in range(25):
        assert limits.refused("bank") == PATIENCE + k if clock.now < 1050 else True
        limits.wait("bank")
    assert clock.naps[:4] == [0.5, 1.0, 1.5, 2.0]
    assert max(clock.naps) <= LONGEST_S
    limits.wait("another bank")
    slowed = len(clock.naps)
    clock.now += 61
    limits.wait("bank")
    assert len(clock.naps) == slowed


def test_what_is_remembered_of_refusals_is_bounded(limits: Limits) -> None:
    for _ in range(5000):
        limits.refused("bank")
    assert len(limits._refusals["bank"]) == 1000
