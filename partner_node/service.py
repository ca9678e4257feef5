"""A partner's node with its sessions and its ledger: what a transport serves."""

from partner_node.config import PartnerConfig
from partner_node.node import PartnerNode
from protocol.files import machine_told, own_folder
from protocol.ledger import Ledger
from protocol.messages import Message
from protocol.wire.envelope import Envelope
from protocol.wire.session import PartnerSessions


class PartnerService:
    """Envelopes in, envelopes out; every message is entered in the ledger. Use as a context manager."""

    def __init__(self, config: PartnerConfig) -> None:
        """Read the table, open budgets and ledger. Raises: DataError, UsageError."""
        self._ledger = Ledger(own_folder(config.state) / "ledger.sqlite", config.party)
        self._node = PartnerNode(config)
        self._sessions = PartnerSessions(config.party, self._handle, self._received, self._sent)

    def __enter__(self) -> "PartnerService":
        return self

    def __exit__(self, *_: object) -> None:
        self._node.close()
        self._ledger.close()

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        """The reply to one envelope of an authenticated peer."""
        return self._sessions.serve(peer, envelope)

    def _handle(self, peer: str, message: Message) -> Message:
        """The node's reply; a full disk here is told to the bank as such."""
        with machine_told(self._node.config.party):
            return self._node.handle(peer, message)

    def _received(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("received", peer, envelope, message)

    def _sent(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("sent", peer, envelope, message)
