"""A session's rules: each request handled once, a repeat answered identically, anything else refused."""

import threading
from collections.abc import Mapping

import pytest

from protocol.contract import refuse
from protocol.errors import IntegrityError, RefusedError, TransportError, UsageError
from protocol.messages import MOST_BYTES, Malformed, Message, Refusal, declared, decode, encode
from protocol.role import ask, drive
from protocol.transport.in_process import InProcess
from protocol.wire.envelope import LAST_SEQUENCE, Envelope
from protocol.wire.limits import Limits
from protocol.wire.session import BankSession, PartnerSessions


@declared("test.question", content="a number", purpose="test sessions")
class Question(Message, frozen=True):
    """Something to answer."""

    number: int


@declared("test.reply", content="a number", purpose="test sessions")
class Reply(Message, frozen=True):
    """How many questions there were, and the last one."""

    count: int
    number: int


class Counting:
    """A role that counts what it is asked, and fails where told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def handle(self, peer: str, message: Message) -> Message:
        assert isinstance(message, Question)
        if message.number == 13:
            raise RefusedError("telecom", "13 is refused", "ask another")
        if message.number == 15:
            raise refuse("telecom", "max_equations_share", "15 is\x1b[2J too much", "ask less")
        if message.number == 14:
            raise ZeroDivisionError("the raw value 0.123")
        self.seen.append((peer, message.number))
        return Reply(count=len(self.seen), number=message.number)


def envelope(sequence: int, number: int, session: str = "s") -> Envelope:
    return Envelope(session, sequence, Question.KIND, encode(Question(number=number)))


def message_of(reply: Envelope) -> Message:
    return decode(reply.kind, reply.body)


@pytest.fixture
def role() -> Counting:
    return Counting()


@pytest.fixture
def partner(role: Counting) -> PartnerSessions:
    return PartnerSessions("telecom", role.handle)


def refusal_code(reply: Envelope) -> int:
    refusal = message_of(reply)
    assert isinstance(refusal, Refusal)
    return refusal.code


def test_a_repeat_gets_the_same_bytes_and_is_not_handled_again(partner: PartnerSessions, role: Counting) -> None:
    first = partner.serve("bank", envelope(0, 5))
    again = partner.serve("bank", envelope(0, 5))
    assert again == first
    assert role.seen == [("bank", 5)]


@pytest.mark.parametrize(("sequence", "number"), [(1, 6), (0, 5), (3, 7)])
def test_a_changed_body_a_step_back_and_a_gap_are_refused(
    partner: PartnerSessions, role: Counting, sequence: int, number: int
) -> None:
    partner.serve("bank", envelope(0, 5))
    kept = partner.serve("bank", envelope(1, 5))
    refused = partner.serve("bank", envelope(sequence, number))
    assert refusal_code(refused) == IntegrityError.exit_code
    assert (refused.session, refused.sequence) == ("s", sequence)
    assert len(role.seen) == 2
    assert partner.serve("bank", envelope(1, 5)) == kept, "a refusal leaves the session as it was"


def test_another_kind_under_the_same_number_is_refused(partner: PartnerSessions) -> None:
    partner.serve("bank", envelope(0, 5))
    changed = Envelope("s", 0, Reply.KIND, envelope(0, 5).body)
    assert refusal_code(partner.serve("bank", changed)) == IntegrityError.exit_code


def test_an_unknown_session_may_go_on_anywhere(partner: PartnerSessions, role: Counting) -> None:
    partner.serve("bank", envelope(41, 1))
    partner.serve("bank", envelope(42, 2))
    assert [number for _, number in role.seen] == [1, 2]


def test_sessions_of_two_peers_are_apart_even_under_one_name(partner: PartnerSessions, role: Counting) -> None:
    a = partner.serve("bank a", envelope(0, 1))
    b = partner.serve("bank b", envelope(0, 1))
    assert a != b
    assert role.seen == [("bank a", 1), ("bank b", 1)]


def test_refusals_keep_their_code_and_are_kept_as_replies(partner: PartnerSessions) -> None:
    refused = partner.serve("bank", envelope(0, 13))
    assert refusal_code(refused) == RefusedError.exit_code
    assert partner.serve("bank", envelope(0, 13)) is refused


def test_a_bug_becomes_a_neutral_refusal(partner: PartnerSessions, caplog: pytest.LogCaptureFixture) -> None:
    refusal = message_of(partner.serve("bank", envelope(0, 14)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == 1
    assert "0.123" not in refusal.thing + refusal.remedy
    assert "ZeroDivisionError" in caplog.text, "the traceback goes to the log"


@pytest.mark.parametrize("body", [b"", b"\xc1", encode(Question(number=1)) + b"\x00", encode(Reply(count=1, number=1))])
def test_unreadable_requests_are_refused(partner: PartnerSessions, role: Counting, body: bytes) -> None:
    assert refusal_code(partner.serve("bank", Envelope("s", 0, Question.KIND, body))) == IntegrityError.exit_code
    assert refusal_code(partner.serve("bank", Envelope("t", 0, "no.such", body))) == IntegrityError.exit_code
    assert not role.seen


def test_memory_is_bounded_by_sessions_and_by_bytes(role: Counting) -> None:
    few = PartnerSessions("telecom", role.handle, most_sessions=3)
    for k in range(10):
        few.serve("bank", envelope(0, 1, session=str(k)))
    few.serve("bank", envelope(0, 1, session="9"))
    assert len(role.seen) == 10, "the last one is kept"
    few.serve("bank", envelope(0, 1, session="0"))
    assert len(role.seen) == 11, "the first one was forgotten"
    light = PartnerSessions("telecom", role.handle, kept_bytes=1)
    light.serve("bank", envelope(0, 1, session="a"))
    light.serve("bank", envelope(0, 1, session="b"))
    light.serve("bank", envelope(0, 1, session="b"))
    assert len(role.seen) == 13, "only the reply last given is kept"


def test_a_retry_during_the_work_waits_for_the_one_answer() -> None:
    started, finish, calls = threading.Event(), threading.Event(), []

    def slow(peer: str, message: Message) -> Message:
        calls.append(message)
        started.set()
        assert finish.wait(10)
        return Reply(count=len(calls), number=0)

    partner = PartnerSessions("telecom", slow)
    replies: list[Envelope] = []
    threads = [threading.Thread(target=lambda: replies.append(partner.serve("bank", envelope(0, 1)))) for _ in range(4)]
    threads[0].start()
    assert started.wait(10)
    for thread in threads[1:]:
        thread.start()
    finish.set()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert len(replies) == 4
    assert len(set(replies)) == 1


def test_bank_and_partners_over_bytes(role: Counting) -> None:
    other = Counting()
    sessions = {"telecom": PartnerSessions("telecom", role.handle), "税务局": PartnerSessions("税务局", other.handle)}
    transport = InProcess("bank", {party: s.serve for party, s in sessions.items()})
    bank = BankSession(transport.exchange)
    for k in range(3):
        replies = bank.exchange({"telecom": Question(number=k), "税务局": Question(number=k + 100)})
        assert [(r.count, r.number) for r in replies.values() if isinstance(r, Reply)] == [(k + 1, k), (k + 1, k + 100)]
    assert bank.exchange({}) == {}
    refused = bank.exchange({"telecom": Question(number=13)})["telecom"]
    assert isinstance(refused, Refusal)
    transport.close()


class Unsteady:
    """A transport that loses a reply when told to, and remembers what was sent."""

    def __init__(self, partner: PartnerSessions) -> None:
        self.partner, self.lose, self.sent = partner, False, list[Envelope]()

    def exchange(self, envelopes: Mapping[str, Envelope]) -> Mapping[str, Envelope]:
        self.sent += envelopes.values()
        replies = {party: self.partner.serve("bank", e) for party, e in envelopes.items()}
        if self.lose:
            raise TransportError("telecom", "lost", "try again")
        return replies


def test_a_failed_exchange_asked_again_is_the_same_envelope(partner: PartnerSessions, role: Counting) -> None:
    line = Unsteady(partner)
    seen: list[tuple[str, int]] = []
    bank = BankSession(
        line.exchange,
        on_sent=lambda peer, e, m: seen.append(("sent", e.sequence)),
        on_received=lambda peer, e, m: seen.append(("received", e.sequence)),
    )
    bank.exchange({"telecom": Question(number=1)})
    line.lose = True
    for _ in range(2):
        with pytest.raises(TransportError):
            bank.exchange({"telecom": Question(number=2)})
    line.lose = False
    bank.exchange({"telecom": Question(number=2)})
    assert line.sent[1] == line.sent[2] == line.sent[3]
    assert [number for _, number in role.seen] == [1, 2]
    assert seen == [("sent", 0), ("received", 0), ("sent", 1), ("received", 1)], "a retry is no second message"


def test_another_message_after_a_failed_one_begins_a_session(partner: PartnerSessions, role: Counting) -> None:
    line = Unsteady(partner)
    bank = BankSession(line.exchange)
    bank.exchange({"telecom": Question(number=1)})
    line.lose = True
    with pytest.raises(TransportError):
        bank.exchange({"telecom": Question(number=2)})
    line.lose = False
    reply = bank.exchange({"telecom": Question(number=3)})["telecom"]
    assert isinstance(reply, Reply)
    assert (line.sent[2].sequence, line.sent[2].session != line.sent[1].session) == (0, True)


def test_a_reply_to_something_else_is_an_integrity_error() -> None:
    def crossed(envelopes: Mapping[str, Envelope]) -> Mapping[str, Envelope]:
        return {p: Envelope(e.session, e.sequence + 1, Reply.KIND, b"") for p, e in envelopes.items()}

    def garbled(envelopes: Mapping[str, Envelope]) -> Mapping[str, Envelope]:
        return {p: Envelope(e.session, e.sequence, Reply.KIND, b"\xc1") for p, e in envelopes.items()}

    for exchange in (crossed, garbled, lambda envelopes: {}):
        with pytest.raises(IntegrityError, match="telecom"):
            BankSession(exchange).exchange({"telecom": Question(number=1)})


def test_observers_see_every_message_once_and_may_forbid(role: Counting) -> None:
    seen: list[str] = []

    def full(peer: str, e: Envelope, m: Message) -> None:
        if m.KIND == Reply.KIND:
            raise UsageError("telecom", "disk is full", "free space")
        seen.append(m.KIND)

    partner = PartnerSessions("telecom", role.handle, on_received=full, on_sent=full)
    reply = partner.serve("bank", envelope(0, 1))
    partner.serve("bank", envelope(0, 1))
    assert refusal_code(reply) == UsageError.exit_code, "no answer leaves that is not on record"
    assert seen == [Question.KIND, Refusal.KIND]


def test_no_repr_shows_a_body() -> None:
    assert "secret" not in repr(Envelope("s", 0, "k", b"secret"))


# -- peers that lie ------------------------------------------------------------------------------------------------


class Entered:
    """What a node enters: requests and replies by kind, and what could not be read."""

    def __init__(self, role: Counting, limits: Limits | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.read: list[tuple[str, int]] = []
        self.unread: list[tuple[Envelope, str]] = []
        self.sessions = PartnerSessions(
            "telecom", role.handle, self._note, self._note, on_unreadable=self._note_unread,
            most_bytes=lambda kind: most_bytes, limits=limits,
        )  # fmt: skip

    def _note(self, peer: str, e: Envelope, m: Message) -> None:
        self.read.append((m.KIND, e.sequence))

    def _note_unread(self, peer: str, e: Envelope, why: str) -> None:
        self.unread.append((e, why))


def refusal_of(reply: Envelope) -> Refusal:
    refusal = message_of(reply)
    assert isinstance(refusal, Refusal)
    return refusal


def test_a_refusal_names_its_clause_in_both_logs_and_is_raised_with_it(
    partner: PartnerSessions, caplog: pytest.LogCaptureFixture
) -> None:
    bank = BankSession(InProcess("bank", {"telecom": partner.serve}).exchange)
    with pytest.raises(RefusedError) as caught:
        drive(ask({"telecom": Question(number=15)}, Reply), bank.exchange)
    assert (caught.value.rule, caught.value.exit_code) == ("max_equations_share", 5)
    shown = "(rule max_equations_share): telecom: 15 is\\u{1b}[2J too much"
    ours, theirs = (record.getMessage() for record in caplog.records)
    assert ours.startswith(f"telecom refuses test.question of bank {shown}")
    assert theirs.startswith(f"telecom refuses test.question {shown}")
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_sentence_of_a_peer_is_cut_where_it_is_raised(role: Counting) -> None:
    def wordy(peer: str, message: Message) -> Message:
        return Refusal(code=5, party="telecom", thing="x" * 1000, remedy="y", rule="order")

    bank = BankSession(InProcess("bank", {"telecom": PartnerSessions("telecom", wordy).serve}).exchange)
    with pytest.raises(RefusedError) as caught:
        drive(ask({"telecom": Question(number=1)}, Reply), bank.exchange)
    assert caught.value.thing == "x" * 500 + "..."


def test_a_request_out_of_order_is_entered_and_refused_by_that_rule(role: Counting) -> None:
    node = Entered(role)
    node.sessions.serve("bank", envelope(0, 5))
    assert refusal_of(node.sessions.serve("bank", envelope(7, 6))).rule == "order"
    kinds = [(Question.KIND, 0), (Reply.KIND, 0), (Question.KIND, 7), (Refusal.KIND, 7)]
    assert node.read == kinds


@pytest.mark.parametrize(
    ("session", "sequence", "kind"),
    [
        ("s\x1b[2J", 0, "k"),
        ("s", 0, "k\u202e"),
        ("s" * 65, 0, "k"),
        ("s", LAST_SEQUENCE + 1, "k"),
        ("s", (1 << 64) - 1, "k"),
        ("s", -1, "k"),
        ("", 0, "k"),
    ],
)
def test_a_head_that_cannot_be_kept_is_entered_as_it_can(
    role: Counting, session: str, sequence: int, kind: str
) -> None:
    node = Entered(role)
    reply = node.sessions.serve("bank", Envelope(session, sequence, kind, b"123"))
    assert (refusal_of(reply).code, refusal_of(reply).rule) == (IntegrityError.exit_code, "codec")
    ((head, why),) = node.unread
    assert head.fault in ("", "an envelope without a head")
    assert (head.body, 0 <= head.sequence <= LAST_SEQUENCE) == (b"123", True)
    assert why.startswith("an envelope")
    assert (head.kind + head.session).isprintable()


def test_a_body_too_large_for_its_kind_is_not_decoded(role: Counting) -> None:
    node = Entered(role, most_bytes=100)
    reply = node.sessions.serve("bank", Envelope("s", 0, Question.KIND, b"\0" * 101))
    assert refusal_of(reply).rule == "size"
    assert [why for _, why in node.unread] == ["a test.question of 101 bytes, where 100 are the most"]


def test_a_full_disk_while_entering_what_cannot_be_read_is_the_reason_given(role: Counting) -> None:
    def full(peer: str, e: Envelope, why: str) -> None:
        raise UsageError("telecom", "the disk is full", "free space")

    partner = PartnerSessions("telecom", role.handle, on_unreadable=full)
    assert refusal_code(partner.serve("bank", Envelope("s", 0, Question.KIND, b"\xc1"))) == UsageError.exit_code


class FakeTime:
    """A clock that stands still but for sleeping, and remembers the naps."""

    def __init__(self) -> None:
        self.now, self.naps = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps.append(seconds)

    def limits(self, **rates: int) -> Limits:
        return Limits("telecom", lambda: self.now, self.sleep, {kind.replace("_", "."): n for kind, n in rates.items()})


def test_whatever_is_refused_slows_its_sender_and_nobody_else(role: Counting, caplog: pytest.LogCaptureFixture) -> None:
    time = FakeTime()
    node = Entered(role, time.limits())
    for k in range(4):
        node.sessions.serve("bank", envelope(0, 13, session=f"refused {k}"))
        node.sessions.serve("bank", Envelope(f"unreadable {k}", 0, Question.KIND, b""))
        node.sessions.unread("bank", Envelope(f"unread {k}", 0, Question.KIND, b""), Malformed("long", rule="size"))
    assert time.naps == [0.5, 1.0]
    assert caplog.text.count("telecom slows bank down: it was refused 10 times within a minute") == 1
    node.sessions.serve("another", envelope(0, 1))
    assert len(time.naps) == 2
    node.sessions.serve("bank", envelope(0, 1, session="good"))
    assert time.naps == [0.5, 1.0, 1.5], "what is right waits too"
    time.now += 61
    node.sessions.serve("bank", envelope(1, 1, session="good"))
    assert len(time.naps) == 3


def test_a_kind_asked_too_often_is_entered_and_refused_by_its_rate(role: Counting) -> None:
    time = FakeTime()
    node = Entered(role, time.limits(test_question=60))
    replies = [node.sessions.serve("bank", envelope(k, 1)) for k in range(61)]
    assert all(reply.kind == Reply.KIND for reply in replies[:60])
    assert refusal_of(replies[60]).rule == "rate"
    assert "more than 60 times a minute" in refusal_of(replies[60]).thing
    assert len(role.seen) == 60
    assert len(node.read) == 122
