"""A bank's node over gRPC, from its settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from bank_node.node.node import BankNode
from bank_node.partners.sessions import Progress
from bank_node.settings.config import BankConfig
from protocol.identity import load_identity
from protocol.transport.over_grpc import GrpcTransport


@contextmanager
def connected(config: BankConfig, progress: Progress) -> Iterator[BankNode]:
    """The node, connected to all partners of its settings; closed at the end.

    Raises: UsageError, PeerError: this node's identity is missing, expired, or for demonstrations only.
    """
    identity = load_identity(config.identity, config.party, demo=config.demo)
    endpoints = {partner: address.address for partner, address in config.partners.items()}
    transport = GrpcTransport(endpoints, identity, deadline_s=config.deadline_s, patience_s=config.patience_s)
    with BankNode(config, transport, progress) as node:
        yield node
