"""Envelopes in chunks: any size passes, and nothing that is not exactly an envelope does."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol
from protocol.messages import Malformed
from protocol.wire import chunks as wire
from protocol.wire.chunks import CHUNK_BYTES, split
from protocol.wire.envelope import Envelope
from protocol.wire.exchange_pb2 import Chunk

ROOT = Path(protocol.__file__).parent.parent
LETTERS = st.characters(exclude_categories=("C", "Zl", "Zp"))


def join(chunks: Iterable[Chunk], most: int = 1 << 30) -> Envelope:
    return wire.join(chunks, lambda kind: most)


SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_of_any_size_comes_back(size: int) -> None:
    envelope = Envelope("ab" * 16, 2**40, "boosting.sums", bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    chunks = [Chunk.FromString(chunk.SerializeToString()) for chunk in split(envelope)]
    assert len(chunks) == max(1, -(-size // CHUNK_BYTES))
    assert join(chunks) == envelope


@settings(deadline=None)
@given(
    session=st.text(LETTERS, min_size=1, max_size=64),
    kind=st.text(LETTERS, min_size=1, max_size=64),
    body=st.binary(max_size=64),
)
def test_any_head_comes_back(session: str, kind: str, body: bytes) -> None:
    envelope = Envelope(session, 7, kind, body)
    assert join(split(envelope)) == envelope


def three() -> list[Chunk]:
    return list(split(Envelope("ab", 1, "k", b"z" * (2 * CHUNK_BYTES + 5))))


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: [],
        lambda c: c[1:],
        lambda c: c[:-1],
        lambda c: [*c, c[1]],
        lambda c: [c[0], c[0], c[2]],
        lambda c: [c[0], *c],
        lambda c: [*c, Chunk()],
        lambda c: [*c[:2], Chunk(part=c[2].part, kind="k")],
        lambda c: [*c[:2], Chunk(part=c[2].part, sequence=2)],
        lambda c: [Chunk(session="s\x1b[2J", kind="k")],
        lambda c: [Chunk(session="s", kind="k\n")],
        lambda c: [Chunk(session="s" * 65, kind="k")],
        lambda c: [Chunk(session="s", kind="")],
        lambda c: [Chunk(session="s", kind="k", size=1)],
        lambda c: [Chunk(session="s", kind="k", part=b"1")],
    ],
)
def test_what_is_no_envelope_is_refused(damage: Callable[[list[Chunk]], list[Chunk]]) -> None:
    assert len(join(three()).body) == 2 * CHUNK_BYTES + 5
    with pytest.raises(Malformed):
        join(damage(three()))


def test_a_body_larger_than_allowed_is_refused_by_its_head() -> None:
    read = []

    def reading() -> object:
        for chunk in three():
            read.append(chunk)
            yield chunk

    with pytest.raises(Malformed, match="are the most"):
        join(reading(), CHUNK_BYTES)  # type: ignore[arg-type]
    assert len(read) == 1, "the rest is not even read"


def test_what_is_refused_early_says_what_it_claimed_to_be() -> None:
    with pytest.raises(wire.Unread) as caught:
        join(three(), CHUNK_BYTES)
    assert (caught.value.rule, caught.value.head) == ("size", Envelope("ab", 1, "k", b""))
    with pytest.raises(wire.Unread) as caught:
        join([Chunk(session="s", kind="k", sequence=(1 << 64) - 1)])
    assert (caught.value.rule, str(caught.value)) == ("codec", "an envelope without a number")


def test_bytes_past_the_declared_size_end_the_reading_at_once() -> None:
    read = []

    def endless() -> Iterator[Chunk]:
        yield Chunk(session="s", kind="k", size=10, part=b"12345")
        for part in itertools.repeat(b"123456"):
            read.append(part)
            yield Chunk(part=part)

    with pytest.raises(Malformed, match="out of place"):
        join(endless())
    assert len(read) == 1


def test_generating_again_gives_the_committed_files(tmp_path: Path) -> None:
    source = "protocol/wire/exchange.proto"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        ".",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*command, source], cwd=ROOT, check=True)
    for name in ("exchange_pb2.py", "exchange_pb2.pyi"):
        assert _generated(tmp_path / "protocol/wire" / name) == _generated(ROOT / "protocol/wire" / name)


def _generated(path: Path) -> list[str]:
    """Its lines, but those with the compiler's version: the committed one is old, so that old libraries take it too."""
    versions = re.compile(r"# Protobuf Python Version: .*|    \d+,")
    return [line for line in path.read_text().splitlines() if not versions.fullmatch(line)]
