"""gRPC over mTLS: big bodies, restarts, who is let in, and what is said when somebody is not."""

import json
import logging
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import IntegrityError, PeerError, TransportError, UsageError
from protocol.identity import TlsMaterial, load_identity
from protocol.identity.certificates import dns_label
from protocol.role import ask as ask_all
from protocol.role import drive
from protocol.transport.address import parse_address
from protocol.transport.over_grpc import GrpcServer, GrpcTransport, serve_grpc
from protocol.transport.persistent import TooSlow
from protocol.transport.tls import Stalled, meet
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession
from tests.protocol.transport.parties import Ping, Pong, Ponging, identity, loaded, serving, unchecked

NOTHING = np.zeros(0, dtype=np.uint8)


@pytest.fixture
def telecom(tmp_path: Path) -> TlsMaterial:
    return loaded(tmp_path, "telecom")


@pytest.fixture
def bank(tmp_path: Path, telecom: TlsMaterial) -> TlsMaterial:
    return loaded(tmp_path, "bank")


def to(server: GrpcServer, tls: TlsMaterial, party: str = "telecom", **options: float) -> GrpcTransport:
    return GrpcTransport({party: str(server.address)}, tls, **{"patience_s": 0.0, **options})


def ask(transport: GrpcTransport, party: str = "telecom", number: int = 1) -> Pong:
    reply = BankSession(transport.exchange).exchange({party: Ping(number=number, body=NOTHING)})[party]
    assert isinstance(reply, Pong)
    return reply


def test_two_partners_of_any_name_at_once_and_what_an_exchange_costs(tmp_path: Path) -> None:
    names = ["real estate", "税务局"]
    tls = {name: loaded(tmp_path, name) for name in [*names, "bank"]}
    roles = {name: Ponging(name) for name in names}
    with serving(tls[names[0]], roles[names[0]]) as one, serving(tls[names[1]], roles[names[1]]) as two:
        ends = {names[0]: str(one.address), names[1]: str(two.address)}
        transport = GrpcTransport(ends, tls["bank"])
        session = BankSession(transport.exchange)
        times = []
        for k in range(50):
            start = time.perf_counter()
            replies = session.exchange({name: Ping(number=k, body=NOTHING) for name in names})
            times.append(time.perf_counter() - start)
            assert [(r.number, r.handled) for r in replies.values() if isinstance(r, Pong)] == [(k, k + 1)] * 2
        print(f"{np.median(times) * 1e3:.1f} ms an exchange with two partners, the first {times[0] * 1e3:.0f} ms")
        transport.close()


def test_a_body_of_40_megabytes_passes_both_ways(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    body = np.random.default_rng(1).integers(0, 256, 40 << 20, dtype=np.uint8)
    with serving(telecom, Ponging("telecom")) as server:
        transport = to(server, bank)
        start = time.perf_counter()
        ping = Ping(number=1, body=body, wanted=len(body))
        reply = BankSession(transport.exchange).exchange({"telecom": ping})["telecom"]
        print(f"{2 * 40 / (time.perf_counter() - start):.0f} MiB/s, there and back")
        assert isinstance(reply, Pong)
        assert np.array_equal(reply.body, body)
        transport.close()


def test_what_tls_negotiates(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    with serving(telecom, Ponging("telecom")) as server:
        met = meet("telecom", server.address, bank)
    print(f"negotiated {met.tls_version}, {met.cipher}")
    assert met.tls_version == "TLSv1.3"
    assert met.cipher in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
    assert (met.certificate["party"], met.certificate["demo"]) == ("telecom", False)


@pytest.mark.parametrize(
    ("ciphers", "accepted"), [("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES128-SHA", False)]
)
def test_tls_1_2_only_with_forward_secrecy_and_aead(
    telecom: TlsMaterial, bank: TlsMaterial, ciphers: str, accepted: bool
) -> None:
    context = _client(bank)
    context.set_ciphers(ciphers)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(telecom, Ponging("telecom")) as server:
        assert _negotiated(server, context) == ("TLSv1.2" if accepted else None)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    context = _client(bank)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(telecom, Ponging("telecom")) as server:
        assert _negotiated(server, context) is None


def _client(tls: TlsMaterial) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.ca_pem.decode())
    context.load_cert_chain(tls.folder / "cert.pem", tls.folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context


def _negotiated(server: GrpcServer, context: ssl.SSLContext) -> str | None:
    """The TLS version, if the server goes on talking after the handshake."""
    try:
        with (
            socket.create_connection(server.address, timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=dns_label("telecom")) as secure,
        ):
            return secure.version() if secure.recv(1) else None
    except (ssl.SSLError, ConnectionError):
        return None


# -- who is let in -------------------------------------------------------------------------------------------------


def refusal(server: GrpcServer, tls: TlsMaterial, role: Ponging, party: str = "telecom") -> str:
    transport = to(server, tls, party)
    with pytest.raises(PeerError) as caught:
        ask(transport, party)
    transport.close()
    assert caught.value.exit_code == 4
    assert not role.numbers, "nothing reached the role"
    return str(caught.value)


def test_a_server_of_another_authority(tmp_path: Path, bank: TlsMaterial) -> None:
    strange, role = unchecked(identity(tmp_path, "telecom", authority="other ca"), "telecom"), Ponging("telecom")
    with serving(strange, role) as server:
        assert "telecom: its certificate is signed by another authority" in refusal(server, bank, role)


def test_a_bank_of_another_authority(tmp_path: Path, telecom: TlsMaterial) -> None:
    stranger, role = identity(tmp_path, "bank", authority="other ca"), Ponging("telecom")
    with serving(telecom, role) as server:
        sentence = refusal(server, unchecked(stranger, "bank", ca=telecom.folder), role)
        assert "does not accept the certificate of bank: its ca.pem is of another authority" in sentence


def test_a_server_that_is_another_party(tmp_path: Path, bank: TlsMaterial) -> None:
    role = Ponging("bureau")
    with serving(loaded(tmp_path, "bureau"), role) as server:
        assert "telecom: its certificate names another party, 'bureau'" in refusal(server, bank, role)


def test_a_bank_that_is_another_party(tmp_path: Path, telecom: TlsMaterial, caplog: pytest.LogCaptureFixture) -> None:
    role = Ponging("telecom")
    with serving(telecom, role) as server:
        sentence = refusal(server, loaded(tmp_path, "bank b"), role)
    assert "telecom: refuses to answer: 'bank b' is not a party that telecom answers" in sentence
    assert "telecom lets nobody in by this certificate: 'bank b' is not a party" in caplog.text


def test_an_expired_server(tmp_path: Path, bank: TlsMaterial) -> None:
    role = Ponging("telecom")
    with serving(unchecked(identity(tmp_path, "telecom", days_ago=400), "telecom"), role) as server:
        assert re.search(r"telecom: its certificate expired on \d{4}-\d\d-\d\d", refusal(server, bank, role))


def test_an_expired_bank_says_so_itself(tmp_path: Path, telecom: TlsMaterial) -> None:
    role, old = Ponging("telecom"), identity(tmp_path, "bank", days_ago=400)
    with serving(telecom, role) as server:
        assert re.search(r"bank: its certificate expired on \d{4}", refusal(server, unchecked(old, "bank"), role))


def test_an_expired_bank_is_not_let_in_whatever_it_says(tmp_path: Path, telecom: TlsMaterial) -> None:
    old, role = unchecked(identity(tmp_path, "bank", days_ago=400), "bank"), Ponging("telecom")
    with serving(telecom, role) as server:
        transport = to(server, old)
        transport._lines["telecom"]._known = True  # a bank that does not look before it calls
        with pytest.raises((PeerError, TransportError)):
            ask(transport)
        transport.close()
    assert not role.numbers


def test_demonstration_certificates_only_where_they_are_meant(tmp_path: Path) -> None:
    ours, theirs = (identity(tmp_path, party, authority="demo ca", demo=True) for party in ("bank", "telecom"))
    with pytest.raises(PeerError, match="bank: shows a certificate made for demonstrations"):
        load_identity(ours, "bank")
    role = Ponging("telecom")
    with serving(load_identity(theirs, "telecom", demo=True), role) as server:
        assert "made for demonstrations" in refusal(server, unchecked(ours, "bank", demo=False), role)
        assert ask(to(server, load_identity(ours, "bank", demo=True))).handled == 1
    with serving(unchecked(theirs, "telecom", demo=False), role) as server:
        role.numbers.clear()
        assert "'bank'" not in refusal(server, unchecked(ours, "bank"), role)


def test_the_peer_port_answers_nothing_before_mutual_tls(telecom: TlsMaterial) -> None:
    role = Ponging("telecom")
    with serving(telecom, role) as server:
        for opening in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 64):
            with socket.create_connection(server.address, timeout=5) as plain:
                plain.sendall(opening)
                came = _all_that_comes(plain)
                assert not came or came[:1] == b"\x15", "no more than a TLS alert"
        context = ssl.create_default_context(cadata=telecom.ca_pem.decode())
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(server.address, timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=dns_label("telecom")) as secure,
        ):
            try:
                secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + b"\x00" * 5)
                came = secure.recv(1)
            except (ssl.SSLError, ConnectionError):
                came = b""
            assert came == b"", "without a client certificate not a byte"
    assert not role.numbers


def _all_that_comes(plain: socket.socket) -> bytes:
    came = b""
    try:
        while part := plain.recv(4096):
            came += part
    except (TimeoutError, ConnectionError):
        pass
    return came


def test_bytes_that_are_no_envelope_are_refused(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    role = Ponging("telecom")
    with serving(telecom, role) as server:
        transport = to(server, bank)
        with pytest.raises(PeerError, match="does not understand: an envelope without a head"):
            transport.exchange({"telecom": Envelope("", 0, "k", b"")})
        transport.close()


def test_a_body_larger_than_its_kind_is_refused_and_counted_before_it_is_read(
    telecom: TlsMaterial, bank: TlsMaterial, caplog: pytest.LogCaptureFixture
) -> None:
    role = Ponging("telecom")
    server = serve_grpc(
        "127.0.0.1:0", telecom, role.serve, peers=["bank"], bound=lambda kind: 1 << 20, unread=role.sessions.unread
    )
    transport = to(server, bank)
    asking = ask_all({"telecom": Ping(number=1, body=np.zeros(40 << 20, dtype=np.uint8))}, Pong)
    with pytest.raises(IntegrityError, match=r"sent a request that cannot be read \(a test.ping of \d+ bytes, where"):
        drive(asking, BankSession(transport.exchange).exchange)
    assert "telecom refuses test.ping of bank (rule size)" in caplog.text
    assert not role.numbers
    transport.close()
    server.stop(0)


def test_a_bug_outside_of_sessions_leaks_nothing(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    def broken(peer: str, envelope: Envelope) -> Envelope:
        raise ZeroDivisionError("the raw value 0.123")

    server = serve_grpc("127.0.0.1:0", telecom, broken, peers=["bank"])
    transport = to(server, bank)
    with pytest.raises(PeerError, match="telecom: met an error of its own") as caught:
        ask(transport)
    assert "0.123" not in str(caught.value)
    transport.close()
    server.stop(0)


# -- down, slow, restarted -----------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_partner_that_is_down(bank: TlsMaterial) -> None:
    end = f"127.0.0.1:{free_port()}"
    transport = GrpcTransport({"telecom": end}, bank, first_patience_s=0.2)
    with pytest.raises(TransportError, match=f"telecom: did not answer at {end}; start it with") as caught:
        ask(transport)
    assert caught.value.exit_code == 6
    transport.close()


def test_what_answers_is_no_node(bank: TlsMaterial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            plain, _ = listener.accept()
            with plain:
                plain.recv(64)
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        transport = GrpcTransport({"telecom": f"127.0.0.1:{listener.getsockname()[1]}"}, bank, patience_s=0)
        with pytest.raises(PeerError, match="is not a node: it speaks no TLS"):
            ask(transport)
        transport.close()


def test_a_deadline_ends_the_wait_and_is_not_tried_again(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    calls, finish = [], threading.Event()

    def slow(peer: str, envelope: Envelope) -> Envelope:
        calls.append(envelope)
        finish.wait(10)
        return envelope

    server = serve_grpc("127.0.0.1:0", telecom, slow, peers=["bank"])
    transport = to(server, bank, deadline_s=0.3, patience_s=20)
    with pytest.raises(TooSlow, match=r"telecom: did not answer within 0\.3 s"):
        ask(transport)
    assert len(calls) == 1
    finish.set()
    transport.close()
    server.stop(0)


def test_a_partner_that_computes_for_long_is_waited_for_and_said_to_be(
    telecom: TlsMaterial, bank: TlsMaterial, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer than a stopped one is waited for: its pings are answered."""
    role = Ponging("telecom")

    def busy(peer: str, envelope: Envelope) -> Envelope:
        time.sleep(18)
        return role.serve(peer, envelope)

    server = serve_grpc("127.0.0.1:0", telecom, busy, peers=["bank"])
    transport = to(server, bank)
    with caplog.at_level(logging.INFO):
        assert ask(transport).handled == 1
    assert [record.getMessage() for record in caplog.records] == ["waiting for telecom"]
    transport.close()
    server.stop(0)


def test_a_machine_that_drops_packets_is_named_at_once(bank: TlsMaterial) -> None:
    """A full queue of connections drops what asks for another one, as a firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            transport = GrpcTransport({"telecom": f"127.0.0.1:{listener.getsockname()[1]}"}, bank)
            start = time.perf_counter()
            with pytest.raises(Stalled, match=r"telecom: did not answer at .* within 5 s: .* packets to it get lost"):
                ask(transport)
            assert time.perf_counter() - start < 15
            transport.close()


def test_a_restart_in_mid_session_is_survived(telecom: TlsMaterial, bank: TlsMaterial) -> None:
    listen = f"127.0.0.1:{free_port()}"
    before, after = Ponging("telecom"), Ponging("telecom")
    transport = GrpcTransport({"telecom": listen}, bank, patience_s=20)
    session = BankSession(transport.exchange)
    with serving(telecom, before, listen):
        session.exchange({"telecom": Ping(number=0, body=NOTHING)})
    restarted: list[GrpcServer] = []
    later = threading.Timer(1.0, lambda: restarted.append(serve_grpc(listen, telecom, after.serve, peers=["bank"])))
    later.start()
    for k in range(1, 4):
        reply = session.exchange({"telecom": Ping(number=k, body=NOTHING)})["telecom"]
        assert isinstance(reply, Pong)
    assert (before.numbers, after.numbers) == ([0], [1, 2, 3])
    transport.close()
    restarted[0].stop(0)


def test_a_partner_that_dies_in_mid_session_is_an_error_after_the_patience(
    telecom: TlsMaterial, bank: TlsMaterial
) -> None:
    with serving(telecom, Ponging("telecom")) as server:
        transport = to(server, bank, patience_s=0.5)
        session = BankSession(transport.exchange)
        session.exchange({"telecom": Ping(number=0, body=NOTHING)})
    start = time.perf_counter()
    with pytest.raises(TransportError, match="telecom: did not answer at"):
        session.exchange({"telecom": Ping(number=1, body=NOTHING)})
    assert time.perf_counter() - start < 5
    transport.close()


# -- ports ---------------------------------------------------------------------------------------------------------


def test_a_port_in_use_and_addresses_that_are_none(telecom: TlsMaterial) -> None:
    role = Ponging("telecom")
    with serving(telecom, role) as server:
        with pytest.raises(UsageError, match=f"telecom: port {server.address.port} at 127.0.0.1 is in use"):
            serve_grpc(str(server.address), telecom, role.serve, peers=["bank"])
        with pytest.raises(UsageError, match="in use"):
            serve_grpc("127.0.0.1:0", telecom, role.serve, peers=["bank"], health=str(server.address))
    for wrong in ("7700", "host:", "host:x", ":7700", "host:70000"):
        with pytest.raises(UsageError, match="is not host:port"):
            serve_grpc(wrong, telecom, role.serve, peers=["bank"])


def test_health_is_a_port_of_its_own_and_loopback_only(telecom: TlsMaterial) -> None:
    role = Ponging("telecom")
    with serving(telecom, role, health="127.0.0.1:0") as server:
        assert server.health is not None
        with urllib.request.urlopen(f"http://{server.health}/healthz", timeout=5) as answer:
            assert json.load(answer) == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{server.health}/ledger", timeout=5)
    with pytest.raises(UsageError, match=r"can be reached from other machines"):
        serve_grpc("127.0.0.1:0", telecom, role.serve, peers=["bank"], health="0.0.0.0:0")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(server.health, timeout=1)


def test_addresses() -> None:
    assert str(parse_address("bank", "[::1]:7700")) == "[::1]:7700"
    assert parse_address("bank", "localhost:1").is_loopback
    assert not parse_address("bank", "10.0.0.5:7700").is_loopback
