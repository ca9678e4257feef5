"""A peer that floods a node with requests that are refused waits by itself: others are answered meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import RefusedError, TransportError
from protocol.identity import TlsMaterial
from protocol.messages import Message, Refusal, decode, encode
from protocol.transport import over_grpc
from protocol.transport.over_grpc import GrpcServer, GrpcTransport, serve_grpc
from protocol.wire import limits
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession, PartnerSessions
from tests.protocol.transport.parties import Ping, Pong, loaded

NOTHING = np.zeros(0, dtype=np.uint8)
WORKERS = 4
FLOOD = 3 * WORKERS


def _answer(peer: str, message: Message) -> Message:
    assert isinstance(message, Ping)
    if peer == "bank":
        raise RefusedError("telecom", "refuses all that this bank asks", "ask nothing", "budget")
    return Pong(number=message.number, handled=1, body=NOTHING)


@contextmanager
def _flooded(folder: Path) -> Iterator[tuple[GrpcServer, TlsMaterial]]:
    """A node that a bank floods over several connections; the other peer's identity."""
    tls = {name: loaded(folder, name) for name in ("telecom", "bank", "other")}
    sessions = PartnerSessions("telecom", _answer)
    server = serve_grpc("127.0.0.1:0", tls["telecom"], sessions.serve, peers=["bank", "other"], workers=WORKERS)
    ended = threading.Event()
    body = encode(Ping(number=1, body=NOTHING))

    def ask() -> None:
        transport = GrpcTransport({"telecom": str(server.address)}, tls["bank"], patience_s=0.0)
        while not ended.is_set():
            try:
                transport.exchange({"telecom": Envelope(f"{time.perf_counter_ns()}", 0, Ping.KIND, body)})
            except TransportError:
                time.sleep(0.05)
        transport.close()

    threads = [threading.Thread(target=ask) for _ in range(FLOOD)]
    for thread in threads:
        thread.start()
    time.sleep(2.0)
    try:
        yield server, tls["other"]
    finally:
        ended.set()
        server.stop(0)
        for thread in threads:
            thread.join()


def _seconds(folder: Path) -> float:
    """How long the other peer waits for an answer."""
    with _flooded(folder) as (server, other):
        transport = GrpcTransport({"telecom": str(server.address)}, other, patience_s=0.0)
        start = time.perf_counter()
        reply = BankSession(transport.exchange).exchange({"telecom": Ping(number=7, body=NOTHING)})["telecom"]
        assert isinstance(reply, Pong)
        transport.close()
        return time.perf_counter() - start


def test_a_flood_of_refused_requests_holds_up_nobody_else(tmp_path: Path) -> None:
    assert _seconds(tmp_path) < 2.0


def test_without_the_guards_it_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: all threads sleep for the flood."""
    monkeypatch.setattr(limits, "MOST_WAITING", 1000)
    monkeypatch.setattr(limits, "LONGEST_S", 3.0)
    monkeypatch.setattr(over_grpc._Desk, "_place", lambda self, peer: threading.Lock())
    assert _seconds(tmp_path) > 2.0


def test_what_is_turned_away_is_entered_and_tells_its_rule() -> None:
    entered, waiting, go = list[str](), threading.Semaphore(0), threading.Event()

    def sleep(seconds: float) -> None:
        waiting.release()
        assert go.wait(10)

    slow = limits.Limits("telecom", sleep=sleep)
    sessions = PartnerSessions(
        "telecom", _answer, on_unreadable=lambda peer, envelope, why: entered.append(why), limits=slow
    )
    for _ in range(limits.PATIENCE):
        slow.refused("bank")
    asked = Envelope("s", 0, Ping.KIND, encode(Ping(number=1, body=NOTHING)))
    held = [threading.Thread(target=sessions.serve, args=("bank", asked)) for _ in range(limits.MOST_WAITING)]
    for thread in held:
        thread.start()
        assert waiting.acquire(timeout=10)
    reply = sessions.serve("bank", asked)
    other = sessions.serve("other", asked)
    go.set()
    for thread in held:
        thread.join()
    told = decode(reply.kind, reply.body)
    assert isinstance(told, Refusal)
    assert told.rule == "rate"
    assert entered == [told.thing]
    assert other.kind == Pong.KIND
