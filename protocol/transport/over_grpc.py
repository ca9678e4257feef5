"""gRPC with mutual TLS: the transport between nodes.

Both sides prove themselves with certificates of one authority, and each pins the name of the party it expects. The
peer port answers nothing before that. A generic streamed envelope is all that gRPC knows (wire/exchange.proto).
grpcio cannot require TLS 1.3: it negotiates it, and accepts 1.2 with ECDHE and AEAD.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NoReturn

import grpc  # type: ignore[import-untyped]
from cryptography import x509

from protocol.errors import FedwarnError, IntegrityError, PeerError, TransportError
from protocol.he.parameters import MAX_ROWS
from protocol.identity import TlsMaterial
from protocol.identity.certificates import dns_label, party_of, refuse_demo, refuse_expired
from protocol.messages import Malformed, most_bytes
from protocol.transport.address import Address, parse_address, port_in_use
from protocol.transport.base import FanOut
from protocol.transport.health import Health
from protocol.transport.persistent import Patience, Persistent, TooSlow
from protocol.transport.tls import NotAccepted, meet
from protocol.wire.chunks import CHUNK_BYTES, Unread, join, split
from protocol.wire.envelope import Envelope, Serve
from protocol.wire.exchange_pb2 import Chunk
from protocol.wire.session import refused_unread

LOG: Final = logging.getLogger(__name__)

SERVICE: Final = "fedwarn.v1.Exchange"
METHOD: Final = "Deliver"

_MESSAGE_BYTES: Final = 2 * CHUNK_BYTES
_SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a second node on a port is an error, not a surprise
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_CLIENT_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 8_000),  # an answer may take minutes: pings tell slow from stopped
    ("grpc.keepalive_timeout_ms", 8_000),
    ("grpc.http2.ping_timeout_ms", 8_000),  # else a ping that measures bandwidth is waited for a minute
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long one try to connect may take, whatever its name says
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),  # trying again is the session's business
    ("grpc.enable_http_proxy", 0),
)


Bound = Callable[[str], int]
"""Bytes of a body at most, by its kind. Raises: Malformed: there is no such kind."""
Refuse = Callable[[str, Envelope, Malformed], Envelope]
"""The reply to a peer's envelope of which only a head was read."""
_SAY_S: Final = 5.0


def any_rows(kind: str) -> int:
    """The bound of a receiver that does not know how many rows there are."""
    return most_bytes(kind, MAX_ROWS)


# -- the partner's side --------------------------------------------------------------------------------------------


class GrpcServer:
    """A peer port, and a health port if wanted, that answer until stopped."""

    def __init__(self, server: grpc.Server, address: Address, health: Health | None) -> None:
        self._server, self._health = server, health
        self.address, self.health = address, health.address if health else None

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no more requests, and give those under way `grace_s` seconds."""
        self._server.stop(grace_s).wait()
        if self._health:
            self._health.close()

    def wait(self) -> None:
        """Until it is stopped from another thread."""
        self._server.wait_for_termination()


def serve_grpc(
    listen: str,
    tls: TlsMaterial,
    serve: Serve,
    *,
    peers: Collection[str],
    bound: Bound = any_rows,
    unread: Refuse = refused_unread,
    health: str = "",
    workers: int = 8,
) -> GrpcServer:
    """Listen, and answer the parties named in `peers`, and nobody else.

    Args:
        listen: host:port; port 0 lets the system choose. health: the same for the loopback port, "" for none.
        serve: usually `PartnerSessions.serve`. bound: of a request, by its kind. unread: usually
            `PartnerSessions.unread`. workers: requests at a time, shared evenly by the peers.
    Raises: UsageError: a port is in use.
    """
    address = parse_address(tls.party, listen)
    server = grpc.server(ThreadPoolExecutor(workers, thread_name_prefix="serve"), options=_SERVER_OPTIONS)
    credentials = grpc.ssl_server_credentials(
        [(tls.key_pem, tls.cert_pem)], root_certificates=tls.ca_pem, require_client_auth=True
    )
    share = max(1, workers // len(peers))
    server.add_generic_rpc_handlers((_Desk(tls, serve, peers, bound, unread, share).as_handler(),))
    try:
        port = server.add_secure_port(str(address), credentials)
    except RuntimeError:
        raise port_in_use(tls.party, address) from None
    alive = Health(tls.party, parse_address(tls.party, health)) if health else None
    server.start()
    return GrpcServer(server, Address(address.host, port), alive)


class _NoPlace(Exception):
    """A peer holds as many threads as it may."""


class _Desk:
    """Answers one call: who is it, what does it say, what is the reply.

    share: of the threads, that one peer may hold at a time, whether it sends slowly, waits, or is answered.
    """

    def __init__(
        self, tls: TlsMaterial, serve: Serve, peers: Collection[str], bound: Bound, unread: Refuse, share: int
    ) -> None:
        self._tls, self._serve, self._bound, self._unread = tls, serve, bound, unread
        self._peers = {dns_label(peer): peer for peer in peers}
        self._places = {peer: threading.BoundedSemaphore(share) for peer in peers}

    def as_handler(self) -> grpc.GenericRpcHandler:
        """What gRPC registers."""
        method = grpc.stream_stream_rpc_method_handler(
            self._deliver, request_deserializer=Chunk.FromString, response_serializer=Chunk.SerializeToString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    def _deliver(self, chunks: Iterator[Chunk], context: grpc.ServicerContext) -> Iterator[Chunk]:
        try:
            peer = self._peer(context)
            with self._place(peer):
                yield from split(self._reply(peer, chunks))
        except grpc.RpcError:  # the peer hung up in mid-request
            return
        except PeerError as error:
            LOG.warning("%s lets nobody in by this certificate: %s %s", self._tls.party, error.party, error.thing)
            _abort(context, grpc.StatusCode.PERMISSION_DENIED, f"{error.party} {error.thing}")
        except Malformed as error:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except _NoPlace:
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "")
        except Exception:
            LOG.exception("%s: a bug outside of any session", self._tls.party)
            _abort(context, grpc.StatusCode.ABORTED, "")

    @contextmanager
    def _place(self, peer: str) -> Iterator[None]:
        """One of the peer's threads. Raises: _NoPlace: it holds all of them."""
        if not self._places[peer].acquire(blocking=False):
            raise _NoPlace
        try:
            yield
        finally:
            self._places[peer].release()

    def _reply(self, peer: str, chunks: Iterator[Chunk]) -> Envelope:
        """The reply. Raises: Malformed: the request has no head that a reply could repeat."""
        try:
            request = join(chunks, self._bound)
        except Unread as error:
            refusal = self._unread(peer, error.head, error)
            if error.head.fault:
                raise
            return refusal
        return self._serve(peer, request)

    def _peer(self, context: grpc.ServicerContext) -> str:
        """The name of the party at the other end. Raises: PeerError: it is none that this node expects."""
        (pem,) = context.auth_context()["x509_pem_cert"]
        certificate = _certificate(pem)
        named = party_of(certificate)
        if named is None or dns_label(named) not in self._peers:
            raise PeerError(f"{named!r}", f"is not a party that {self._tls.party} answers", "correct the names")
        refuse_expired(named, certificate)
        if not self._tls.demo:
            refuse_demo(named, certificate)
        return self._peers[dns_label(named)]


@lru_cache(maxsize=64)
def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, thing: str) -> NoReturn:
    context.abort(code, thing[:300])
    raise AssertionError("abort returned")


# -- the bank's side -----------------------------------------------------------------------------------------------


class GrpcTransport(FanOut):
    """All partners of a bank, each over a channel of its own.

    Args:
        endpoints: host:port by party. tls: the bank's identity.
        deadline_s: of one exchange, work included. patience_s: how long to wait for a partner that was there before
            to come back, in mid-session. first_patience_s: the same for one that was never there.
    Raises: UsageError: an endpoint is not host:port.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str],
        tls: TlsMaterial,
        *,
        deadline_s: float = 600.0,
        patience_s: float = 20.0,
        first_patience_s: float = 2.0,
    ) -> None:
        patience = Patience(started_s=patience_s, first_s=min(first_patience_s, patience_s))
        self._lines = {p: _Line(p, parse_address(p, text), tls, deadline_s) for p, text in endpoints.items()}
        super().__init__({party: Persistent(line, patience) for party, line in self._lines.items()})

    def close(self) -> None:
        """Close the channels; a call under way is cancelled."""
        for line in self._lines.values():
            line.close()
        super().close()


class _Line:
    """The channel to one party: each call is one try."""

    def __init__(self, party: str, address: Address, tls: TlsMaterial, deadline_s: float) -> None:
        self._party, self._address, self._tls, self._deadline_s = party, address, tls, deadline_s
        self._known = False
        credentials = grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem)
        options = (*_CLIENT_OPTIONS, ("grpc.ssl_target_name_override", dns_label(party)))
        self._channel = grpc.secure_channel(str(address), credentials, options=options)
        self._deliver = self._channel.stream_stream(
            f"/{SERVICE}/{METHOD}", request_serializer=Chunk.SerializeToString, response_deserializer=Chunk.FromString
        )

    def __call__(self, envelope: Envelope) -> Envelope:
        """The party's reply. Raises: TransportError, PeerError, IntegrityError."""
        if not self._known:
            meet(self._party, self._address, self._tls)
            self._known = True
        try:
            replies: Iterable[Chunk] = self._deliver(split(envelope), timeout=self._deadline_s)
            with self._said_to_wait():
                return join(replies, any_rows)
        except grpc.RpcError as error:
            raise self._told(error) from None
        except Malformed as error:
            raise IntegrityError(self._party, f"sent {error}", "run the same version on both sides") from None

    @contextmanager
    def _said_to_wait(self) -> Iterator[None]:
        """Say once that a party is waited for, if it takes long."""
        timer = threading.Timer(_SAY_S, LOG.info, ("waiting for %s", self._party))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _told(self, error: grpc.RpcError) -> FedwarnError:
        """What gRPC's error is called in a sentence. Meets the party to find out, where gRPC does not know."""
        code, details = error.code(), error.details() or ""
        match code:
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                thing = f"did not answer within {self._deadline_s:g} s at {self._address}"
                return TooSlow(self._party, thing, "raise deadline_s, or see what keeps it busy, and run again")
            case grpc.StatusCode.PERMISSION_DENIED:
                return PeerError(self._party, f"refuses to answer: {details}", "correct the names in both node.toml")
            case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.UNIMPLEMENTED:
                return PeerError(self._party, f"does not understand: {details}", "run the same version on both sides")
            case grpc.StatusCode.ABORTED:
                return PeerError(self._party, "met an error of its own", "look into its log")
        try:
            meet(self._party, self._address, self._tls)
        except NotAccepted:  # it did accept us before: it is about to stop
            pass
        except FedwarnError as found:
            return found
        thing = f"broke off the connection at {self._address} ({code.name.lower().replace('_', ' ')})"
        return TransportError(self._party, thing, "look into its log and run again")
