"""Whatever bytes a peer sends, the codec gives a valid message or `Malformed`, and takes little memory for it."""

import importlib
import os
import pkgutil
import tracemalloc
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol.algorithms
from protocol.messages import CATALOGUE, Malformed, decode, encode
from tests.hostile.raw import mutated, packed, valid

for _module in pkgutil.iter_modules(protocol.algorithms.__path__):
    importlib.import_module(f"protocol.algorithms.{_module.name}")

KINDS: Final = sorted(CATALOGUE)
QUICK: Final = 200
SLOW: Final = int(os.environ.get("FEDWARN_EXAMPLES", "10000"))
MOST_MEMORY: Final = 32 << 20
"""Bytes; a body of these tests has 100 kB, save for a few that repeat one part of it 300 times."""

SEEDS: Final = st.integers(0, (1 << 64) - 1)


def _survives(kind: str, body: bytes) -> bool:
    """Whether the body is accepted. A message that is accepted can be sent on, and is then accepted again."""
    try:
        message = decode(kind, body)
    except Malformed:
        return False
    assert type(message) is CATALOGUE[kind]
    decode(kind, encode(message))
    return True


def _fuzz(kind: str, examples: int) -> int:
    """Try so many bodies of random bytes and of mutated messages; how many there were."""
    tried = 0

    @settings(max_examples=examples, deadline=None, database=None)
    @given(SEEDS)
    def attack(seed: int) -> None:
        nonlocal tried
        tried += 1
        rng = Random(seed)
        if rng.random() < 0.2:
            _survives(kind, rng.randbytes(rng.choice((0, 1, 7, 300))))
            return
        value = valid(kind, rng)
        for _ in range(rng.randint(1, 3)):
            value = mutated(value, rng)
        body = bytearray(packed(value))
        if rng.random() < 0.2:
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        _survives(kind, bytes(body))

    attack()
    return tried


@pytest.mark.parametrize("kind", KINDS)
def test_messages_as_declared_are_accepted(kind: str) -> None:
    """The positive control: mutations of what is never accepted would prove nothing."""
    assert any(_survives(kind, packed(valid(kind, Random(seed)))) for seed in range(50))


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_valid_or_malformed(kind: str) -> None:
    _fuzz(kind, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_many_bodies_are_valid_or_malformed(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    tried = _fuzz(kind, SLOW)
    with capsys.disabled():
        print(f"\n{kind}: {tried} bodies")


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_bounded(kind: str) -> None:
    """Announced shapes and lengths take no memory before their bytes have come."""
    bodies = [packed(mutated(valid(kind, Random(seed)), Random(seed))) for seed in range(40)]
    tracemalloc.start()
    try:
        for body in bodies:
            _survives(kind, body)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a" * 64 + "\n", "../" + "a" * 61, "A" * 64, "a" * 63, ""])
def test_a_name_that_is_no_digest_is_refused(name: str) -> None:
    body = packed({"alignment": name, "pool": "a" * 64})
    with pytest.raises(Malformed):
        decode("scoring.query", body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1x"])
def test_deep_nesting_is_malformed(kind: str, opening: bytes) -> None:
    """Encoded without recursion, so that it can be deeper than any stack."""
    with pytest.raises(Malformed):
        decode(kind, opening * 100_000 + b"\xc0")
