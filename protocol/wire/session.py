"""Sessions: messages in order, each answered once, and a retry that changes nothing.

    bank (BankSession)                                 partner (PartnerSessions)
     |-- session, sequence k, kind, body ------------->|  k = last + 1: hand it to the role, keep the reply
     |<- session, sequence k, kind, body --------------|
     |-- the same again (the reply was lost) --------->|  k = last, identical: the kept reply, identical
     |-- sequence k, another body -------------------->|  refused (integrity)
     |-- a step back, or a gap ----------------------->|  refused (integrity)

A second, different answer to one request is a known way to lose a key (eprint 2024/194), hence the rules. A
session that the partner does not know, because it restarted or forgot it, may go on at any sequence; the roles
then see to it that a repeated request gets the same answer, or none.
"""

import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import (
    DataError,
    FedwarnError,
    IntegrityError,
    PeerError,
    RefusedError,
    TransportError,
    UsageError,
)
from protocol.fields import as_shown
from protocol.he.parameters import MAX_ROWS
from protocol.messages import Malformed, Message, Refusal, decode, encode, most_bytes, require_size
from protocol.role import MOST_SHOWN, Replies, Requests
from protocol.wire.envelope import LONGEST_NAME, Envelope, Envelopes, ExchangeEnvelopes, Mark
from protocol.wire.limits import PATIENCE, Limits

LOG: Final = logging.getLogger(__name__)
RAISED: Final = {"raised": True}
"""Marks a line of the log whose sentence is raised as an error too: a console then shows it once."""
BUG: Final = 1
"""Exit code of an error that is nobody's fault but ours."""
_RULES: Final = {
    UsageError.exit_code: "machine",
    DataError.exit_code: "data",
    PeerError.exit_code: "terms",
    RefusedError.exit_code: "budget",
    TransportError.exit_code: "transport",
    IntegrityError.exit_code: "integrity",
}
"""What is named of an error that names no rule itself."""

Handle = Callable[[str, Message], Message]
"""A node's roles: the peer's name and its message in, the reply out."""

Observer = Callable[[str, Envelope, Message], None]
"""Told the peer, the envelope and the message, once a message however often it is sent."""


def unobserved(peer: str, envelope: Envelope, message: Message) -> None:
    """The observer that keeps nothing."""


class BankSession:
    """The bank's end: numbers its requests to each party, and unwraps the replies.

    A request that failed in transport stays pending with the whole exchange: the same messages asked again go
    out as the same envelopes. Another message in its place begins a new session with that party. Thread-safe,
    one exchange at a time.

    Args:
        exchange: of a transport.
        on_sent: called before a request first leaves; on_received: when the replies of all parties are here.
    """

    def __init__(
        self, exchange: ExchangeEnvelopes, on_sent: Observer = unobserved, on_received: Observer = unobserved
    ) -> None:
        self._exchange, self._on_sent, self._on_received = exchange, on_sent, on_received
        self._next: dict[str, tuple[str, int]] = {}
        self._pending: dict[str, Envelope] = {}
        self._lock = threading.Lock()

    def exchange(self, requests: Requests) -> Replies:
        """One request to each named party, one reply from each: the `Exchange` that `drive` takes.

        Raises:
            TransportError: a party did not answer; the same call may be made again.
            IntegrityError: what came back is not a reply to what was sent.
        """
        with self._lock:
            sent = {party: self._envelope(party, message) for party, message in requests.items()}
            came = self._exchange(sent)
            replies = {party: _opened(party, sent[party], came) for party in sent}
            for party, reply in replies.items():
                if isinstance(reply, Refusal):
                    LOG.warning("%s refuses %s%s", party, sent[party].kind, _sentence(reply), extra=RAISED)
            for party, envelope in sent.items():
                del self._pending[party]
                self._next[party] = (envelope.session, envelope.sequence + 1)
                self._on_received(party, came[party], replies[party])
            return replies

    def _envelope(self, party: str, message: Message) -> Envelope:
        body = encode(message)
        pending = self._pending.get(party)
        if pending is not None:
            if (message.KIND, body) == (pending.kind, pending.body):
                return pending
            del self._next[party]
        session, sequence = self._next.setdefault(party, (secrets.token_hex(16), 0))
        envelope = Envelope(session, sequence, message.KIND, body)
        self._on_sent(party, envelope, message)
        self._pending[party] = envelope
        return envelope


def _opened(party: str, request: Envelope, replies: Envelopes) -> Message:
    reply = replies.get(party)
    if reply is None or (reply.session, reply.sequence) != (request.session, request.sequence):
        raise IntegrityError(party, f"did not reply to the {request.kind} it was sent", "look into its log")
    try:
        return decode(reply.kind, reply.body)
    except Malformed as error:
        raise IntegrityError(
            party, f"sent a reply that cannot be read ({error})", "run the same version on both sides"
        ) from None


@dataclass
class _Conversation:
    """One session of one peer: its last request and the reply to it. users: threads that are in it."""

    busy: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    last: tuple[Mark, Envelope] | None = None

    @property
    def bytes_kept(self) -> int:
        return len(self.last[1].body) if self.last else 0


class PartnerSessions:
    """The partner's end: answers each request of each session once, and a repeat of the last one identically.

    Thread-safe; one message of a session at a time. Every error becomes a `Refusal`: nothing else ever leaves.

    Args:
        party: this node's name, for its refusals.
        handle: the node's roles.
        on_received: called before a new request is handled; on_sent: before its reply leaves. on_unreadable: called of
            a request that cannot be read. most_bytes: of a request's body, by kind. limits: how often a peer may ask.
        most_sessions, kept_bytes: the sessions and replies kept; the least recently used are forgotten.
    """

    def __init__(
        self,
        party: str,
        handle: Handle,
        on_received: Observer = unobserved,
        on_sent: Observer = unobserved,
        most_sessions: int = 64,
        kept_bytes: int = 1 << 30,
        *,
        on_unreadable: Callable[[str, Envelope, str], None] = lambda peer, envelope, why: None,
        most_bytes: Callable[[str], int] = lambda kind: most_bytes(kind, MAX_ROWS),
        limits: Limits | None = None,
    ) -> None:
        self._party, self._handle = party, handle
        self._on_received, self._on_sent, self._on_unreadable = on_received, on_sent, on_unreadable
        self._most_sessions, self._kept_bytes, self._most_bytes = most_sessions, kept_bytes, most_bytes
        self._limits = limits or Limits(party)
        self._known: OrderedDict[tuple[str, str], _Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        """The reply to one envelope of an authenticated peer. Never raises."""
        try:
            self._limits.wait(peer)
        except RefusedError as error:
            return self._turn_away(peer, envelope.presentable, error)
        if envelope.fault:
            return self._refuse_unreadable(peer, envelope.presentable, Malformed(envelope.fault))
        key = (peer, envelope.session)
        with self._lock:
            conversation = self._known.setdefault(key, _Conversation())
            self._known.move_to_end(key)
            conversation.users += 1
        try:
            with conversation.busy:
                return self._in_turn(conversation, peer, envelope)
        finally:
            with self._lock:
                conversation.users -= 1
                self._forget()

    def unread(self, peer: str, head: Envelope, error: Malformed) -> Envelope:
        """The refusal of what a transport stopped reading: counted, logged and entered as any other."""
        try:
            self._limits.wait(peer)
        except RefusedError as busy:
            return self._turn_away(peer, head.presentable, busy)
        return self._refuse_unreadable(peer, head.presentable, error)

    def latest(self) -> tuple[Mark, Envelope] | None:
        """The request answered last, in whatever session, and the reply to it; None before the first."""
        with self._lock:
            return next((c.last for c in reversed(self._known.values()) if c.last), None)

    def recall(self, peer: str, request: Mark, reply: Envelope) -> None:
        """Know the last exchange of a session again: this node was made anew in the middle of it."""
        with self._lock:
            self._known[peer, request.session] = _Conversation(last=(request, reply))

    def _in_turn(self, conversation: _Conversation, peer: str, envelope: Envelope) -> Envelope:
        if conversation.last is not None:
            request, reply = conversation.last
            if envelope.mark == request:
                return reply
            if envelope.sequence != request.sequence + 1:
                return self._answer(peer, envelope, _out_of_order(peer, envelope, request))
        reply = self._answer(peer, envelope)
        conversation.last = (envelope.mark, reply)
        return reply

    def _answer(self, peer: str, envelope: Envelope, misplaced: IntegrityError | None = None) -> Envelope:
        """The reply. misplaced: the request is entered like any other, and refused for its place."""
        try:
            message = self._read(envelope)
            self._on_received(peer, envelope, message)
            if misplaced:
                raise misplaced
            self._limits.admit(peer, envelope.kind)
            return self._reply(peer, envelope, self._handle(peer, message))
        except FedwarnError as error:
            return self._refuse(peer, envelope, _refusal(error))
        except Malformed as error:
            return self._refuse_unreadable(peer, envelope, error)
        except Exception:
            LOG.exception("%s: a bug while answering %s of %s", self._party, envelope.kind, peer)
            return self._refuse(peer, envelope, self._bug(envelope))

    def _read(self, envelope: Envelope) -> Message:
        """Raises: Malformed: too many bytes for its kind, or no message of it."""
        require_size(envelope.kind, len(envelope.body), self._most_bytes(envelope.kind))
        return decode(envelope.kind, envelope.body)

    def _reply(self, peer: str, request: Envelope, message: Message) -> Envelope:
        reply = Envelope(request.session, request.sequence, message.KIND, encode(message))
        self._on_sent(peer, reply, message)
        return reply

    def _refuse_unreadable(self, peer: str, request: Envelope, error: Malformed) -> Envelope:
        """Enter what cannot be read, and refuse it; if it cannot be entered, then for that reason."""
        refusal = _refusal(_unreadable(peer, error))
        try:
            self._on_unreadable(peer, request, str(error))
        except FedwarnError as full:
            refusal = _refusal(full)
        return self._refuse(peer, request, refusal)

    def _refuse(self, peer: str, request: Envelope, refusal: Refusal) -> Envelope:
        count, kind = self._limits.refused(peer), as_shown(request.kind, LONGEST_NAME)
        LOG.warning("%s refuses %s of %s%s", self._party, kind, peer, _sentence(refusal))
        if count == PATIENCE:
            LOG.warning("%s slows %s down: it was refused %d times within a minute", self._party, peer, count)
        try:
            return self._reply(peer, request, refusal)
        except FedwarnError as error:  # it cannot be kept on record: then that is the reason given
            return refused(request, error)

    def _turn_away(self, peer: str, request: Envelope, error: RefusedError) -> Envelope:
        """Enter and refuse what is not even read, at once, without a line of the log: to wait would hold a thread."""
        self._limits.refused(peer)
        try:
            self._on_unreadable(peer, request, error.thing)
            return self._reply(peer, request, _refusal(error))
        except FedwarnError as full:
            return refused(request, full)

    def _bug(self, request: Envelope) -> Refusal:
        thing = f"met an error of its own while answering {as_shown(request.kind, 40)}"
        return Refusal(code=BUG, party=self._party, thing=thing, remedy="look into its log", rule="bug")

    def _forget(self) -> None:
        """Drop the least recently used sessions that nobody is in, down to the limits."""
        kept_bytes = sum(c.bytes_kept for c in self._known.values())
        for key, conversation in list(self._known.items())[:-1]:
            if len(self._known) <= self._most_sessions and kept_bytes <= self._kept_bytes:
                return
            if not conversation.users:
                kept_bytes -= conversation.bytes_kept
                del self._known[key]


def refused(request: Envelope, error: FedwarnError) -> Envelope:
    """The reply of a node that could not even be started."""
    return Envelope(request.session, request.sequence, Refusal.KIND, encode(_refusal(error)))


def refused_unread(peer: str, head: Envelope, error: Malformed) -> Envelope:
    """The reply of a node without sessions to what its transport stopped reading."""
    return refused(head, _unreadable(peer, error))


def _refusal(error: FedwarnError) -> Refusal:
    party, thing, remedy = as_shown(error.party, 190), as_shown(error.thing, 900), as_shown(error.remedy, 900)
    rule = as_shown(error.rule, 100) or _RULES.get(error.exit_code, "")
    return Refusal(code=error.exit_code, party=party, thing=thing, remedy=remedy, rule=rule)


def _sentence(refusal: Refusal) -> str:
    """The rule and the sentence of a refusal, for a log line."""
    rule = f" (rule {refusal.rule})" if refusal.rule else ""
    return f"{rule}: {as_shown(refusal.party, 100)}: {as_shown(refusal.thing, MOST_SHOWN)}"


def _unreadable(peer: str, error: Malformed) -> IntegrityError:
    thing = f"sent a request that cannot be read ({error})"
    return IntegrityError(peer, thing, "update both sides to the same version", error.rule)


def _out_of_order(peer: str, envelope: Envelope, last: Mark) -> IntegrityError:
    if envelope.sequence == last.sequence:
        thing = f"sent another message under the number of its last one, {last.sequence}"
    else:
        thing = f"sent message {envelope.sequence} after message {last.sequence} of a session"
    return IntegrityError(peer, thing, "begin a new session", "order")
