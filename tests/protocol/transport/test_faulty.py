"""Whatever is lost, doubled or restarted, the bank gets the replies it would have got, and nothing is done twice."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.errors import IntegrityError, TransportError
from protocol.messages import Message, Refusal
from protocol.transport.in_process import InProcess
from protocol.transport.persistent import Patience, Persistent, Retrying, TooSlow
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession, PartnerSessions
from tests.protocol.transport.faulty import FAULTS, Fault, Faulty
from tests.protocol.transport.parties import Ping, Pong

PARTIES = ["telecom", "税务局"]
REQUESTS = 6
AT_ONCE = Patience(started_s=float("inf"), first_s=float("inf"), pause_s=0.0)
NOTHING = np.zeros(0, dtype=np.uint8)


class Restartable:
    """Two partners whose sessions are lost in a restart; the role answers by what it is asked, as real roles do."""

    def __init__(self) -> None:
        self.handled: Counter[tuple[str, int]] = Counter()
        self.restarts: Counter[str] = Counter()
        self.sessions = {party: self._fresh(party) for party in PARTIES}
        serve = {p: lambda peer, envelope, p=p: self.sessions[p].serve(peer, envelope) for p in PARTIES}
        self.transport = InProcess("bank", serve)

    def restart(self, party: str) -> None:
        self.restarts[party] += 1
        self.sessions[party] = self._fresh(party)

    def _fresh(self, party: str) -> PartnerSessions:
        def handle(peer: str, message: Message) -> Message:
            assert isinstance(message, Ping)
            self.handled[party, message.number] += 1
            return Pong(number=message.number, handled=message.number**2, body=NOTHING)

        return PartnerSessions(party, handle)


def converse(faults: dict[str, list[Fault]]) -> tuple[list[dict[str, tuple[int, int]]], Restartable]:
    """The replies to the same requests, and the partners after it."""
    partners = Restartable()
    line = Retrying(Faulty(partners.transport, faults, partners.restart), PARTIES, AT_ONCE)
    bank = BankSession(line.exchange)
    replies = []
    for k in range(REQUESTS):
        came = bank.exchange({party: Ping(number=k, body=NOTHING) for party in PARTIES})
        assert all(isinstance(reply, Pong) for reply in came.values())
        replies.append({p: (r.number, r.handled) for p, r in came.items() if isinstance(r, Pong)})
    line.close()
    return replies, partners


def lists(*without: Fault) -> st.SearchStrategy[dict[str, list[Fault]]]:
    faults = st.sampled_from([fault for fault in FAULTS if fault not in without])
    return st.fixed_dictionaries({party: st.lists(faults, max_size=12) for party in PARTIES})


EXPECTED, _ = converse({})


@settings(max_examples=150, deadline=None)
@given(lists("restart", "die"))
@example({"telecom": ["lose reply", "lose reply", "duplicate", "stale"], "税务局": ["lose request"] * 5})
def test_without_restarts_each_request_is_handled_once(faults: dict[str, list[Fault]]) -> None:
    replies, partners = converse(faults)
    assert replies == EXPECTED
    assert partners.handled == Counter({(party, k): 1 for party in PARTIES for k in range(REQUESTS)})


@settings(max_examples=150, deadline=None)
@given(lists("stale"))
@example({"telecom": ["die"] * 6 + ["duplicate", "restart"], "税务局": ["lose reply", "restart", "die"]})
def test_with_restarts_the_replies_are_the_same_and_only_a_restart_costs_a_repeat(
    faults: dict[str, list[Fault]],
) -> None:
    """A stale request cannot outlive a restart over TLS, and a partner that forgot the session would take it up:
    `test_a_stale_request_after_a_restart_ends_the_session`."""
    replies, partners = converse(faults)
    assert replies == EXPECTED
    for party in PARTIES:
        repeats = [partners.handled[party, k] - 1 for k in range(REQUESTS)]
        assert min(repeats) >= 0
        assert sum(repeats) <= partners.restarts[party]


def test_a_stale_request_after_a_restart_ends_the_session() -> None:
    partners = Restartable()
    bank = BankSession(Faulty(partners.transport, {"telecom": ["none", "none", "stale"]}).exchange)
    for k in range(2):
        bank.exchange({"telecom": Ping(number=k, body=NOTHING)})
    partners.restart("telecom")
    refusal = bank.exchange({"telecom": Ping(number=2, body=NOTHING)})["telecom"]
    assert isinstance(refusal, Refusal), "never an answer that might be another"
    assert refusal.code == IntegrityError.exit_code


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_does_something(fault: Fault) -> None:
    partners = Restartable()
    delivered: list[Envelope] = []

    class Watched:
        def exchange(self, envelopes):  # type: ignore[no-untyped-def]
            delivered.extend(envelopes.values())
            return partners.transport.exchange(envelopes)

        def close(self) -> None: ...

    bank = BankSession(Faulty(Watched(), {"telecom": ["none", fault]}, partners.restart).exchange)
    bank.exchange({"telecom": Ping(number=0, body=NOTHING)})
    failed = False
    try:
        bank.exchange({"telecom": Ping(number=1, body=NOTHING)})
    except TransportError:
        failed = True
    assert failed == (fault in ("lose request", "lose reply", "die"))
    assert partners.restarts["telecom"] == (fault in ("restart", "die"))
    assert len(delivered) == {"lose request": 1, "duplicate": 3, "stale": 3}.get(fault, 2)


def test_patience_is_bounded_grows_and_is_longer_for_a_party_that_was_there() -> None:
    patience = Patience(started_s=20, first_s=2)
    started, first = list(patience.pauses(20)), list(patience.pauses(2))
    assert started[:6] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert 18 < sum(started) <= 20
    assert 1 < sum(first) <= 2
    assert list(patience.pauses(0)) == []


def test_only_a_transport_error_is_tried_again() -> None:
    tries: list[Exception] = []

    def failing(error: Exception) -> Persistent:
        def link(envelope: Envelope) -> Envelope:
            tries.append(error)
            raise error

        return Persistent(link, Patience(first_s=0.01, pause_s=0.002))

    for error, least in ((TransportError("a", "b", "c"), 3), (TooSlow("a", "b", "c"), 1), (ValueError(), 1)):
        tries.clear()
        with pytest.raises(type(error)):
            failing(error)(Envelope("s", 0, "k", b""))
        assert len(tries) >= least
        assert least > 1 or len(tries) == 1
