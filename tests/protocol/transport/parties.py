"""Nodes for tests: identities from an authority in a folder, a role that answers, and a server of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from protocol.identity import TlsMaterial, create_key_and_csr, install, load_identity
from protocol.identity.authority import CA_FILE, create_authority, sign
from protocol.messages import U8, Message, declared
from protocol.transport.over_grpc import GrpcServer, serve_grpc
from protocol.wire.envelope import Envelope
from protocol.wire.session import PartnerSessions


@declared("test.ping", content="some bytes", purpose="test transports", most_bytes=1 << 30)
class Ping(Message, frozen=True):
    """Bytes, and how many are wanted back."""

    number: int
    body: U8
    wanted: int = 0


@declared("test.pong", content="some bytes", purpose="test transports", most_bytes=1 << 30)
class Pong(Message, frozen=True):
    """The number asked, how many were handled, and bytes."""

    number: int
    handled: int
    body: U8


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def identity(folder: Path, party: str, *, authority: str = "ca", days_ago: float = 0, demo: bool = False) -> Path:
    """The identity folder of a party, issued some days ago by the authority of that name, made if need be."""
    issuer = folder / authority
    if not issuer.exists():
        create_authority(issuer, demo=demo, clock=lambda: ago(max(days_ago, 0 if demo else 1000)))
    own = folder / f"{party}-{authority}-{days_ago}"
    request = create_key_and_csr(own, party).read_bytes()
    install(own, sign(issuer, request, party, clock=lambda: ago(days_ago)), (issuer / CA_FILE).read_bytes())
    return own


def unchecked(folder: Path, party: str, demo: bool = True, ca: Path | None = None) -> TlsMaterial:
    """What is in the folder, however wrong. ca: the folder whose authority is trusted instead."""
    names = [(ca or folder) / "ca.pem", folder / "cert.pem", folder / "key.pem"]
    return TlsMaterial(party, folder, demo, *(name.read_bytes() for name in names))


def loaded(folder: Path, party: str) -> TlsMaterial:
    return load_identity(identity(folder, party), party)


class Ponging:
    """The role: answers pings and counts them."""

    def __init__(self, party: str) -> None:
        self.numbers: list[int] = []
        self.sessions = PartnerSessions(party, self._handle)

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        return self.sessions.serve(peer, envelope)

    def _handle(self, peer: str, message: Message) -> Message:
        assert isinstance(message, Ping)
        self.numbers.append(message.number)
        body = message.body[: message.wanted] if message.wanted <= len(message.body) else message.body
        return Pong(number=message.number, handled=len(self.numbers), body=body)


@contextmanager
def serving(tls: TlsMaterial, role: Ponging, listen: str = "127.0.0.1:0", **options: str) -> Iterator[GrpcServer]:
    server = serve_grpc(listen, tls, role.serve, peers=["bank"], **options)
    try:
        yield server
    finally:
        server.stop(0)
