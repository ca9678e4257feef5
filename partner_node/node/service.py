"""A partner's node with its sessions and its ledger: what a transport serves."""

from partner_node.algorithms.alignment import AlignmentState
from partner_node.config import PartnerConfig
from partner_node.node.node import PartnerNode
from partner_node.store.cache import Cache
from protocol.files import machine_told, own_folder
from protocol.ledger import Ledger
from protocol.messages import Malformed, Message, most_bytes
from protocol.wire.envelope import Envelope, Mark
from protocol.wire.session import PartnerSessions


class PartnerService:
    """Envelopes in, envelopes out; every message is entered in the ledger. Use as a context manager."""

    def __init__(self, config: PartnerConfig, cache: Cache | None = None) -> None:
        """Read the table, open budgets and ledger. cache: of a node that is made anew again and again.

        Raises: DataError, UsageError.
        """
        self._bank = config.bank
        self._ledger = Ledger(own_folder(config.state) / "ledger.sqlite", config.party)
        try:
            self._node = PartnerNode(config, cache)
        except BaseException:
            self._ledger.close()
            raise
        self._sessions = PartnerSessions(
            config.party, self._handle, self._received, self._sent,
            on_unreadable=self._ledger.record_unreadable, most_bytes=self.most_bytes,
        )  # fmt: skip

    def __enter__(self) -> "PartnerService":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close budgets, approvals and ledger."""
        self._node.close()
        self._ledger.close()

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        """The reply to one envelope of an authenticated peer."""
        return self._sessions.serve(peer, envelope)

    def unread(self, peer: str, head: Envelope, error: Malformed) -> Envelope:
        """The refusal of an envelope of which a transport read no more than the head."""
        return self._sessions.unread(peer, head, error)

    def most_bytes(self, kind: str) -> int:
        """Bytes of a request at most, by its kind and the rows of this node. Raises: Malformed: no such kind."""
        return most_bytes(kind, self._node.rows)

    @property
    def reading(self) -> list[str]:
        """How the table was read, for this node's own console."""
        return self._node.reading

    def rest(self) -> None:
        """Let another process serve, until `wake`."""
        self._ledger.rest()

    def wake(self) -> bool:
        """Whether this node may go on: nobody else has served since it came to rest. Raises: UsageError: one does."""
        return self._ledger.wake()

    def latest(self) -> tuple[Mark, Envelope] | None:
        """The request answered last, and the reply to it."""
        return self._sessions.latest()

    def recall(self, request: Mark, reply: Envelope) -> None:
        """Know the last exchange with the bank again."""
        self._sessions.recall(self._bank, request, reply)

    @property
    def aligning(self) -> AlignmentState:
        """The alignment under way."""
        return self._node.aligning

    @aligning.setter
    def aligning(self, state: AlignmentState) -> None:
        self._node.aligning = state

    def _handle(self, peer: str, message: Message) -> Message:
        """The node's reply; a full disk here is told to the bank as such."""
        with machine_told(self._node.config.party):
            return self._node.handle(peer, message)

    def _received(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("received", peer, envelope, message)

    def _sent(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("sent", peer, envelope, message)
