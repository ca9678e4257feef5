"""Engines by name. A new one is a file beside this, and a line in each table."""

from typing import Final

from protocol.errors import UsageError
from protocol.he.base import Guard, Integers, OneHot, PublicEvaluator, SecretKit
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.blind.wide_evaluator import WideEvaluator
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.he.integers import IntegerEvaluator, IntegerKit
from protocol.he.plaintext import (
    PlaintextEvaluator,
    PlaintextIntegerEvaluator,
    PlaintextIntegerKit,
    PlaintextKit,
)
from protocol.he.streams import derive
from protocol.messages import U8, U64

ENCRYPTED: Final = {"blind": True, "plaintext": False}
"""The engines there are, and whether they encrypt."""


def secret_kit(engine: str, party: str, master: bytes, seed: bytes, hint: U64, n: int) -> SecretKit:
    """The bank's half of an engine, for one partner's hint. party: that partner's name."""
    if engine == "blind":
        return BlindSecretKit(party, master, seed, hint, n)
    if engine == "plaintext":
        return PlaintextKit(party, n)
    raise _unknown(engine)


def evaluator(engine: str, bank: str, key: bytes, matrix: OneHot, seed: bytes, guard: Guard) -> PublicEvaluator:
    """The partner's half of an engine, for one matrix. bank: the bank's name, for sentences."""
    if engine == "blind":
        return BlindEvaluator(bank, key, matrix, seed, guard)
    if engine == "plaintext":
        return PlaintextEvaluator(bank, derive(key, "queries", matrix.digest), matrix, guard)
    raise _unknown(engine)


def integer_kit(engine: str, party: str, master: bytes, seed: bytes, hint: U8, n: int) -> IntegerKit:
    """The bank's half of an engine for whole numbers, for one partner's hint. seed: of the ring `INTEGERS`."""
    if engine == "blind":
        return WideSecretKit(party, master, seed, hint, n)
    if engine == "plaintext":
        return PlaintextIntegerKit(party, n)
    raise _unknown(engine)


def integer_evaluator(
    engine: str, bank: str, key: bytes, matrix: Integers, seed: bytes, guard: Guard
) -> IntegerEvaluator:
    """The partner's half of an engine for a matrix of whole numbers. seed: of the ring `INTEGERS`."""
    if engine == "blind":
        return WideEvaluator(bank, key, matrix, seed, guard)
    if engine == "plaintext":
        return PlaintextIntegerEvaluator(bank, derive(key, "queries", matrix.digest), matrix, guard)
    raise _unknown(engine)


def _unknown(engine: str) -> UsageError:
    return UsageError("engine", f"{engine!r} is not an engine", f"choose one of {', '.join(ENCRYPTED)}")
