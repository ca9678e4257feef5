"""Engines by name: `blind` for use, `plaintext` for tests, and what the laboratory brings for comparison.

An engine for comparison is an object named by an entry point of the group `fedwarn.engines`. A partner's wheel has no
such entry point, so that nothing of these engines runs on a partner's machine.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Final, Protocol

from protocol.errors import UsageError
from protocol.he.base import NO_KEYS, Guard, Integers, KeyPair, OneHot, PublicEvaluator, SecretKit
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.blind.stored_hint import StoredHint
from protocol.he.blind.wide_evaluator import WideEvaluator
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.he.integers import IntegerEvaluator, IntegerKit
from protocol.he.parameters import INTEGERS, ONE_HOT, N
from protocol.he.plaintext import (
    PlaintextEvaluator,
    PlaintextIntegerEvaluator,
    PlaintextIntegerKit,
    PlaintextKit,
)
from protocol.he.streams import derive
from protocol.messages import U8, U64


@dataclass(frozen=True)
class Engine:
    """What is known of an engine.

    classical_bits: security of what the bank seals. reads: what the bank can read off a partner's answers.
    lattice: log2 of its modulus, and its dimension, if it has one and its parameters are fixed.
    package: what is imported, and what it is called where it is installed from; empty for our own engines.
    """

    encrypts: bool
    classical_bits: float
    reads: str
    lattice: tuple[int, int] | None = None
    package: str = ""
    distribution: str = ""


class ComparedEngine(Protocol):
    """An engine for comparison, with a pair of keys of the bank's."""

    @property
    def about(self) -> Engine: ...

    def new_keys(self) -> KeyPair: ...

    def secret_kit(self, party: str, n: int, keys: KeyPair) -> SecretKit: ...

    def integer_kit(self, party: str, n: int, keys: KeyPair) -> IntegerKit: ...

    def evaluator(self, bank: str, key: bytes, matrix: OneHot, public: bytes) -> PublicEvaluator: ...

    def integer_evaluator(self, bank: str, key: bytes, matrix: Integers, public: bytes) -> IntegerEvaluator: ...

    def answer_bytes(self, rows: int, vectors: int, answers: int) -> int: ...


OWN: Final = {
    "blind": Engine(True, ONE_HOT.classical_bits, "the sums: masks and flooding hide the rest, up to a budget"),
    "plaintext": Engine(False, 0.0, "the sums; and the partner reads the bank's vectors"),
}
"""The engines that need no library of others."""

_WHOLE_HINT_BYTES: Final = 1 << 27
_ROWS_A_PART: Final = 2048
"""Of a hint that is asked for in parts: 64 MiB, of which each side holds three copies while it passes."""


@cache
def _entry_points() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="fedwarn.engines")}


@cache
def _compared(name: str) -> ComparedEngine:
    """An engine for comparison. Raises: KeyError: there is none of that name."""
    engine: ComparedEngine = _entry_points()[name].load()
    return engine


def names() -> tuple[str, ...]:
    """The engines that this installation knows."""
    return (*OWN, *sorted(_entry_points()))


def about(engine: str) -> Engine:
    """What is known of an engine. Raises: KeyError: there is none of that name."""
    return OWN[engine] if engine in OWN else _compared(engine).about


def installed(engine: str) -> bool:
    """Whether an engine that is known has its library."""
    package = about(engine).package
    return not package or find_spec(package) is not None


def require(engine: str, party: str) -> None:
    """Raises: UsageError: this installation has no such engine, or the engine's library is not installed."""
    if engine not in names():
        raise UsageError(party, f"has no engine {engine!r}", f"choose one of {', '.join(names())}")
    if not installed(engine):
        raise UsageError(
            party,
            f"engine {engine} needs a library that is not installed here",
            f"install it for this node (pip install {about(engine).distribution}) or set engine = 'blind'",
        )


def new_keys(engine: str, party: str) -> KeyPair:
    """Keys of the bank for one partner's hint; none on engines that derive theirs from each query.

    Raises: UsageError: as `require`.
    """
    require(engine, party)
    return NO_KEYS if engine in OWN else _compared(engine).new_keys()


def secret_kit(
    engine: str, party: str, master: bytes, seed: bytes, hint: U64 | StoredHint, n: int,
    keys: KeyPair = NO_KEYS,
) -> SecretKit:  # fmt: skip
    """The bank's half of an engine, for one partner's hint. party: that partner's name. keys: of `new_keys`."""
    require(engine, party)
    if engine == "blind":
        return BlindSecretKit(party, master, seed, hint, n)
    return PlaintextKit(party, n) if engine == "plaintext" else _compared(engine).secret_kit(party, n, keys)


def evaluator(
    engine: str, bank: str, key: bytes, matrix: OneHot, seed: bytes, guard: Guard, public: bytes = b""
) -> PublicEvaluator:
    """The partner's half of an engine, for one matrix. bank: the bank's name, for sentences. public: its keys."""
    require(engine, bank)
    if engine == "blind":
        return BlindEvaluator(bank, key, matrix, seed, guard)
    queries = derive(key, "queries", matrix.digest)
    if engine == "plaintext":
        return PlaintextEvaluator(bank, queries, matrix)
    return _compared(engine).evaluator(bank, queries, matrix, public)


def integer_kit(
    engine: str, party: str, master: bytes, seed: bytes, hint: U8, n: int, keys: KeyPair = NO_KEYS
) -> IntegerKit:
    """The bank's half of an engine for whole numbers, for one partner's hint. seed: of the ring `INTEGERS`."""
    require(engine, party)
    if engine == "blind":
        return WideSecretKit(party, master, seed, hint, n)
    return PlaintextIntegerKit(party, n) if engine == "plaintext" else _compared(engine).integer_kit(party, n, keys)


def integer_evaluator(
    engine: str, bank: str, key: bytes, matrix: Integers, seed: bytes, guard: Guard, public: bytes = b""
) -> IntegerEvaluator:
    """The partner's half of an engine for a matrix of whole numbers. seed: of the ring `INTEGERS`."""
    require(engine, bank)
    if engine == "blind":
        return WideEvaluator(bank, key, matrix, seed, guard)
    queries = derive(key, "queries", matrix.digest)
    if engine == "plaintext":
        return PlaintextIntegerEvaluator(bank, queries, matrix)
    return _compared(engine).integer_evaluator(bank, queries, matrix, public)


def hint_bytes(engine: str, rows: int) -> int:
    """Of a hint for so many rows of a one-hot matrix."""
    return 8 * rows * N if engine == "blind" else 0


def hint_parts(engine: str, rows: int) -> list[range]:
    """The rows of a hint that are asked for at a time: all of them, where they take 128 MiB at most."""
    if hint_bytes(engine, rows) <= _WHOLE_HINT_BYTES:
        return [range(rows)]
    return [range(first, min(first + _ROWS_A_PART, rows)) for first in range(0, rows, _ROWS_A_PART)]


def integer_hint_bytes(engine: str, rows: int) -> int:
    """Of a hint for so many rows of a matrix of whole numbers."""
    return 10 * rows * INTEGERS.n if engine == "blind" else 0


def answer_bytes(engine: str, rows: int, vectors: int, answers: int) -> int:
    """Of the answers to queries of so many vectors in all, on so many rows of a one-hot matrix each, at most."""
    return 8 * rows * vectors if engine in OWN else _compared(engine).answer_bytes(rows, vectors, answers)


def integer_bytes(engine: str, rows: int, vectors: int, answers: int) -> int:
    """As `answer_bytes`, of a matrix of whole numbers."""
    return INTEGERS.log2_q // 8 * rows * vectors if engine in OWN else answer_bytes(engine, rows, vectors, answers)
