"""Roles: the active party is a script, the passive party an answerer.

A script is a generator: it yields requests, one to a party, and is sent the replies. It does no I/O, so that
it reads like the figure in the paper and runs unchanged over any transport:

    answers = yield from ask({"telecom": query}, Answer)

An answerer is a function of its state and a message. The state is a frozen value, so that it can be kept,
moved to another worker, and resumed.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Protocol, TypeVar

from protocol.errors import BY_CODE, IntegrityError, PeerError
from protocol.fields import as_shown
from protocol.messages import Message, Refusal

Requests = Mapping[str, Message]
Replies = Mapping[str, Message]
Exchange = Callable[[Requests], Replies]
"""A transport, as a script's driver sees it: one request to each named party, one reply from each."""

MOST_SHOWN: Final = 500
"""Characters of a sentence that a peer wrote; more of it would hide what this node says itself."""

T = TypeVar("T")
M = TypeVar("M", bound=Message)
Script = Generator[Requests, Replies, T]


class Answerer(Protocol):
    """The passive half of an algorithm."""

    @property
    def state(self) -> Any:
        """A frozen value: all that the answerer remembers between messages."""

    def handle(self, message: Message) -> Message:
        """The reply to one request."""


def ask(requests: Requests, expected: type[M]) -> Script[dict[str, M]]:
    """Send each party its request; return each party's reply, of the expected type.

    Raises:
        FedwarnError: a party refused; the refusal is raised here with its own exit code.
        PeerError: a party replied with another kind of message.
        IntegrityError: a party that was asked did not reply, or one replied that was not asked.
    """
    if not requests:
        return {}
    replies = yield requests
    if set(replies) != set(requests):
        raise IntegrityError("transport", "replies do not match the requests", "report this")
    return {party: _of_type(party, reply, expected) for party, reply in replies.items()}


def drive(script: Script[T], exchange: Exchange) -> T:
    """Run a script to its end over a transport, and return its result."""
    try:
        requests = next(script)
        while True:
            try:
                replies = exchange(requests)
            except Exception as error:
                requests = script.throw(error)
            else:
                requests = script.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result


def _of_type(party: str, reply: Message, expected: type[M]) -> M:
    if isinstance(reply, Refusal):
        shown = (as_shown(text, MOST_SHOWN) for text in (reply.party, reply.thing, reply.remedy, reply.rule))
        raise BY_CODE.get(reply.code, PeerError)(*shown)
    if not isinstance(reply, expected):
        raise PeerError(
            party,
            f"answered {reply.KIND} where {expected.KIND} was due",
            "run the same version on both sides",
        )
    return reply
