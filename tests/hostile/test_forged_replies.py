"""Whatever a partner replies, a bank goes on, or ends with one sentence: no reply of any kind is a traceback.

The lies with a meaning of their own stand in the yield table, and are told in every run of the tests.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from experiments.attacks.scene import Scene, made_up
from experiments.attacks.yields import side_of
from protocol.messages import CATALOGUE
from protocol.wire.envelope import Envelope


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    made = made_up(Path(tmp_path_factory.mktemp("forged")), rows=300)
    made.record()
    return made


def forged(value: Any) -> Iterator[Any]:
    """Other values of the same type that a reply could have in a place."""
    match value:
        case bool():
            yield not value
        case int():
            yield from {0, 1, value + 1, (1 << 31) - 1} - {value}
        case float():
            yield from (0.0, 1.0)
        case str():
            yield "0" * len(value)
        case bytes():
            yield from (bytes(len(value)), b"")
        case [str() as dtype, [int() as first, *rest], bytes() as data] if first:
            row = len(data) // first
            yield dtype, (first - 1, *rest), data[row:]
            yield dtype, (2 * first, *rest), data * 2
            yield dtype, (0, *rest), b""
            yield dtype, (first, *rest), b"\xff" * len(data)
            yield dtype, (first, *rest), (b"\x7f" * len(data))
            yield dtype, (first, *rest), bytes(len(data))
        case [*items] if items:
            yield from ([], items[:-1], items * 2)
            for other in forged(items[0]):
                yield [other, *items[1:]]
        case dict():
            for name in value:
                for other in forged(value[name]):
                    yield {**value, name: other}


def ends(scene: Scene, kind: str, field: str, number: int) -> str:
    """The sentence that a run ends with whose first reply of a kind has a field forged; "" if it goes on."""
    told = []

    def forge(reply: Envelope) -> Envelope:
        if reply.kind != kind or told:
            return reply
        told.append(kind)
        fields = msgspec.msgpack.decode(reply.body)
        for other in islice(forged(fields[field]), number, number + 1):
            fields[field] = other
        return replace(reply, body=msgspec.msgpack.encode(fields))

    return str(scene._run(forge=forge) or "")


def lies(scene: Scene, kind: str) -> Iterator[tuple[str, int]]:
    """Every field of a kind, and the number of each of its forgeries."""
    for field, value in msgspec.msgpack.decode(scene.recorded[kind]).items():
        yield from ((field, number) for number, _ in enumerate(forged(value)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", sorted(k for k in CATALOGUE if side_of(k) == "partner" and not k.startswith("test.")))
def test_every_forged_reply_ends_with_a_sentence(scene, kind):
    if kind in scene.recorded:
        for field, number in lies(scene, kind):
            ends(scene, kind, field, number)
