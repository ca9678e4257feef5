"""Over Flower: envelopes as messages of a ServerApp to ClientApps, on its simulation and its deployment engine alike.

    bank (ServerApp)                                 partner (ClientApp of one SuperNode)
     |-- query.party --------------------------------->|  once: which party is behind a node
     |<- name of the party ----------------------------|
     |-- query.deliver: session, sequence, kind, body ->|
     |<- the same of the reply -------------------------|

The body travels as an array of bytes, which Flower cuts into chunks: a hint of any size passes. Flower knows nodes by
numbers of its own and vouches for who is behind them; the partner's envelope tells it of one bank only, the one that
its node is set to answer.
"""

import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Final

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from protocol.errors import PeerError, TransportError
from protocol.wire.envelope import Envelope, Envelopes

PARTY: Final = "party"
DELIVER: Final = "deliver"
"""Actions of Flower's message type `query`."""

_NODE_UNAVAILABLE: Final = 5
"""Flower's code of an error that stands in for the reply of a node that has died."""

_SHORTEST_S: Final = 0.01
_LONGEST_S: Final = 1.0
_PATIENCE: Final = 4
"""Replies are looked for at growing pauses, of a fourth of the time waited."""


class FlowerTransport:
    """A bank's way to the partners behind Flower's nodes.

    Args:
        grid: Flower's, as a ServerApp is given it.
        parties: the partners looked for. deadline_s: of one exchange. search_s: how long to wait for all partners.
        stop: ends an exchange that is under way, if set in another thread.
    Raises:
        TransportError: a partner is behind no node, or behind two.
    """

    def __init__(
        self, grid: Any, parties: Sequence[str], deadline_s: float, search_s: float = 120.0, stop: Event | None = None
    ) -> None:
        self._grid, self._deadline_s, self._stop = grid, deadline_s, stop or Event()
        self._nodes = self._found(parties, search_s)

    def exchange(self, envelopes: Envelopes) -> Envelopes:
        """As `Transport.exchange`."""
        nodes = {self._nodes[party]: party for party in envelopes}
        content = {self._nodes[party]: packed(envelope) for party, envelope in envelopes.items()}
        replies = self._ask(DELIVER, content, self._deadline_s)
        for node, party in nodes.items():
            if node not in replies:
                raise self._silent(party, node)
        return {party: _opened(party, replies[node]) for node, party in nodes.items()}

    def close(self) -> None:
        """End what is under way."""
        self._stop.set()

    def _silent(self, party: str, node: int) -> TransportError:
        """What to say of a node that has sent no reply: Flower takes no message for one that has left."""
        if node not in self._grid.get_node_ids():
            return _gone(party)
        return TransportError(party, f"did not answer within {self._deadline_s:g} s", "look into its SuperNode's log")

    def _found(self, parties: Sequence[str], search_s: float) -> dict[str, int]:
        """The node of each party."""
        until, found = time.monotonic() + search_s, dict[str, int]()
        while True:
            strangers = set(self._grid.get_node_ids()) - set(found.values())
            for node, reply in self._ask(PARTY, {node: RecordDict() for node in strangers}, search_s).items():
                name = "" if reply.has_error() else str(reply.content[PARTY]["name"])
                if name in found:
                    raise TransportError(name, "is behind two of Flower's nodes", "stop one of its SuperNodes")
                if name in parties:
                    found[name] = node
            lacking = [party for party in parties if party not in found]
            if not lacking:
                return found
            if time.monotonic() > until:
                remedy = "start its SuperNode, and let its node configuration name its node.toml"
                raise TransportError(lacking[0], "is behind none of Flower's nodes", remedy)
            time.sleep(_LONGEST_S)

    def _ask(self, action: str, content: dict[int, RecordDict], wait_s: float) -> dict[int, Message]:
        """Replies by node: all, or those that are here when the time is over."""
        sent = [Message(c, dst_node_id=node, message_type=f"query.{action}") for node, c in content.items()]
        waiting, replies = set(self._grid.push_messages(sent)), dict[int, Message]()
        for _ in self._pauses(wait_s):
            for reply in self._grid.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                replies[reply.metadata.src_node_id] = reply
            if not waiting:
                break
        return replies

    def _pauses(self, wait_s: float) -> Iterator[None]:
        """Again and again until the time is over. Raises: TransportError: the transport is closed."""
        start = time.monotonic()
        while (waited := time.monotonic() - start) < wait_s:
            yield
            if self._stop.wait(min(max(waited / _PATIENCE, _SHORTEST_S), _LONGEST_S)):
                raise TransportError("bank", "was stopped in the middle of an exchange", "run it again")


def named(party: str) -> RecordDict:
    """A node's reply to `PARTY`; "" for a node with no party behind it."""
    return RecordDict({PARTY: ConfigRecord({"name": party})})


def packed(envelope: Envelope) -> RecordDict:
    """An envelope as Flower carries it."""
    head = {"session": envelope.session, "sequence": envelope.sequence, "kind": envelope.kind}
    body = Array(dtype="uint8", shape=(len(envelope.body),), stype="bytes", data=envelope.body)
    return RecordDict({"head": ConfigRecord(head), "body": ArrayRecord(array_dict={"body": body})})


def unpacked(content: RecordDict) -> Envelope:
    """The envelope in a message's content. Raises: KeyError, TypeError, ValueError: there is none."""
    head, body = content["head"], content["body"]["body"].data
    return Envelope(str(head["session"]), int(head["sequence"]), str(head["kind"]), bytes(body))


def _opened(party: str, reply: Message) -> Envelope:
    """Raises: TransportError: Flower says that the node failed. PeerError: what it sent is no envelope."""
    if reply.has_error():
        if reply.error.code == _NODE_UNAVAILABLE:
            raise _gone(party)
        thing = f"has failed under Flower (error {reply.error.code})"
        raise TransportError(party, thing, "look into its SuperNode's log")
    try:
        return unpacked(reply.content)
    except (KeyError, TypeError, ValueError):
        raise PeerError(party, "sent what is no envelope", "run the same version on both sides") from None


def _gone(party: str) -> TransportError:
    return TransportError(party, "has left Flower's grid", "start its SuperNode again, and then the same run")
