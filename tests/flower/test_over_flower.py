"""The transport by itself: large bodies, nodes that fail, parties that are missing."""

import os
from collections.abc import Callable
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation

from experiments.flower.over_flower import DELIVER, PARTY, FlowerTransport, _opened, named, packed, unpacked
from protocol.errors import FedwarnError, TransportError
from protocol.wire.envelope import Envelope

MIB = 1 << 20
PARTIES = ("real estate", "税务局")


def party(context: Context) -> str:
    return PARTIES[int(context.node_config["partition-id"])]


def tell(message: Message, context: Context) -> Message:
    return Message(named(party(context)), reply_to=message)


def echo(message: Message, context: Context) -> Message:
    """The body back, twice; a body of one byte is too much for it."""
    came = unpacked(message.content)
    if len(came.body) == 1:
        raise RuntimeError("a value that nobody may read")
    return Message(packed(Envelope(came.session, came.sequence, party(context), came.body * 2)), reply_to=message)


def on_grid(work: Callable[[Any], None]) -> None:
    """Run the bank's part over two nodes that echo. Raises what it raises."""
    failed: list[BaseException] = []
    server, client = ServerApp(), ClientApp()

    def main(grid: Any, context: Context) -> None:
        try:
            work(grid)
        except BaseException as error:
            failed.append(error)

    server.main()(main)
    client.query(PARTY)(tell)
    client.query(DELIVER)(echo)
    ray = {"address": "local", "num_cpus": 1, "include_dashboard": False}
    resources = {"init_args": ray, "client_resources": {"num_cpus": 1}}
    run_simulation(server, client, num_supernodes=2, backend_config=resources)
    if failed:
        raise failed[0]


def test_a_hint_of_64_mib_passes_to_and_from_parties_of_any_name():
    body = os.urandom(64 * MIB)

    def work(grid: Any) -> None:
        transport = FlowerTransport(grid, PARTIES, deadline_s=120)
        sent = {p: Envelope("ab" * 16, 2**40, "boosting.sums_query", body) for p in PARTIES}
        replies = transport.exchange(sent)
        assert {p: reply.kind for p, reply in replies.items()} == {p: p for p in PARTIES}
        assert all((r.session, r.sequence, r.body) == ("ab" * 16, 2**40, body * 2) for r in replies.values())

    on_grid(work)


class Left:
    """A grid all of whose nodes have left since they were found: Flower takes no message for them."""

    def get_node_ids(self) -> list[int]:
        return []

    def push_messages(self, _: object) -> list[str]:
        return []

    def pull_messages(self, _: object) -> list[Message]:
        return []


def test_what_fails_is_told_in_a_sentence_that_gives_nothing_away():
    said: list[FedwarnError] = []

    def caught(work: Callable[[], object]) -> None:
        with pytest.raises(TransportError) as raised:
            work()
        said.append(raised.value)

    def work(grid: Any) -> None:
        transport = FlowerTransport(grid, PARTIES, deadline_s=60)
        caught(lambda: transport.exchange({"税务局": Envelope("ab" * 16, 0, "kind", b"x")}))
        caught(lambda: FlowerTransport(grid, ["telecom"], deadline_s=1, search_s=3))
        hurried = FlowerTransport(grid, PARTIES, deadline_s=0.001)
        caught(lambda: hurried.exchange({"real estate": Envelope("ab" * 16, 0, "kind", b"xy")}))
        left = FlowerTransport(grid, PARTIES, deadline_s=60)
        left._grid = Left()
        caught(lambda: left.exchange({"real estate": Envelope("ab" * 16, 0, "kind", b"xy")}))
        stop = Event()
        stopped = FlowerTransport(grid, PARTIES, deadline_s=60, stop=stop)
        stop.set()
        caught(lambda: stopped.exchange({"real estate": Envelope("ab" * 16, 0, "kind", b"xy")}))

    on_grid(work)
    failed, missing, slow, gone, stopped = map(str, said)
    assert "has failed under Flower" in failed
    assert "nobody may read" not in failed
    assert missing.startswith("telecom: is behind none of Flower's nodes")
    assert "did not answer within 0.001 s" in slow
    assert gone.startswith("real estate: has left Flower's grid; start its SuperNode again")
    assert "was stopped" in stopped
    died = SimpleNamespace(has_error=lambda: True, error=SimpleNamespace(code=ErrorCode.NODE_UNAVAILABLE))
    with pytest.raises(TransportError, match="telecom: has left Flower's grid"):
        _opened("telecom", died)  # type: ignore[arg-type]
