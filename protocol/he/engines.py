"""Engines by name. A new one is a file beside this, and a line in the table and in each function.

`blind` is for use, `plaintext` for tests. `ckks` and `paillier` are for comparison; each needs a library that is
installed apart, so that their files are imported only where they are asked for, and both nodes have to name it.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from protocol.errors import UsageError
from protocol.he.base import NO_KEYS, Guard, Integers, KeyPair, OneHot, PublicEvaluator, SecretKit
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.blind.stored_hint import StoredHint
from protocol.he.blind.wide_evaluator import WideEvaluator
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.he.integers import IntegerEvaluator, IntegerKit
from protocol.he.keyed import Cipher, KeyedIntegerKit, KeyedKit
from protocol.he.parameters import CKKS, CLASSICAL_BITS, INTEGERS, ONE_HOT, PAILLIER_BITS, N
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
    """classical_bits: security of what the bank seals. reads: what the bank can read off a partner's answers.

    package: what is imported, and what it is called where it is installed from; empty for our own engines.
    """

    encrypts: bool
    classical_bits: float
    reads: str
    package: str = ""
    distribution: str = ""


ENGINES: Final = {
    "blind": Engine(True, ONE_HOT.classical_bits, "the sums: masks and flooding hide the rest, up to a budget"),
    "plaintext": Engine(False, 0.0, "the sums; and the partner reads the bank's vectors"),
    "ckks": Engine(
        True, CLASSICAL_BITS, "the partner's matrix: the error of an answer is a known function of it",
        "tenseal", "tenseal",
    ),
    "paillier": Engine(True, CLASSICAL_BITS, "the sums: answers are fresh ciphertexts", "heu", "sf-heu"),
}  # fmt: skip

ENCRYPTED: Final = {name: engine.encrypts for name, engine in ENGINES.items()}
"""The engines there are, and whether they encrypt."""

_WHOLE_HINT_BYTES: Final = 1 << 27
_ROWS_A_PART: Final = 2048
"""Of a hint that is asked for in parts: 64 MiB, of which each side holds three copies while it passes."""
_CKKS_BYTES: Final = 2 * (len(CKKS.moduli) - 1) * CKKS.n * 8
"""Of a ciphertext: two polynomials, modulo every prime but the last."""
OWN: Final = tuple(name for name, engine in ENGINES.items() if not engine.package)
"""Those that need no library of others."""


def installed(engine: str) -> bool:
    """Whether an engine's library is there."""
    package = ENGINES[engine].package
    return not package or find_spec(package) is not None


def require(engine: str, party: str) -> None:
    """Raises: UsageError: there is no such engine, or its library is not installed."""
    if engine not in ENGINES:
        raise UsageError("engine", f"{engine!r} is not an engine", f"choose one of {', '.join(ENGINES)}")
    if not installed(engine):
        raise UsageError(
            party,
            f"engine {engine} needs a library that is not installed here",
            f"install it for this node (pip install {ENGINES[engine].distribution}) or set engine = 'blind'",
        )


def new_keys(engine: str, party: str) -> KeyPair:
    """Keys of the bank for one partner's hint; none on engines that derive theirs from each query.

    Raises: UsageError: as `require`.
    """
    require(engine, party)
    if engine == "ckks":
        from protocol.he.ckks import scheme as ckks

        return ckks.new_keys()
    if engine == "paillier":
        from protocol.he.paillier import scheme as paillier

        return paillier.new_keys()
    return NO_KEYS


def secret_kit(
    engine: str, party: str, master: bytes, seed: bytes, hint: U64 | StoredHint, n: int,
    keys: KeyPair = NO_KEYS,
) -> SecretKit:  # fmt: skip
    """The bank's half of an engine, for one partner's hint. party: that partner's name. keys: of `new_keys`."""
    require(engine, party)
    if engine == "blind":
        return BlindSecretKit(party, master, seed, hint, n)
    return PlaintextKit(party, n) if engine == "plaintext" else KeyedKit(_cipher(engine, party, n, keys))


def _cipher(engine: str, party: str, n: int, keys: KeyPair) -> Cipher:
    """What the engines with a pair of keys do with vectors and sums."""
    if engine == "ckks":
        from protocol.he.ckks.secret_kit import CkksCipher

        return CkksCipher(party, n, keys)
    from protocol.he.paillier.secret_kit import PaillierCipher

    return PaillierCipher(party, n, keys)


def evaluator(
    engine: str, bank: str, key: bytes, matrix: OneHot, seed: bytes, guard: Guard, public: bytes = b""
) -> PublicEvaluator:
    """The partner's half of an engine, for one matrix. bank: the bank's name, for sentences. public: its keys."""
    require(engine, bank)
    if engine == "blind":
        return BlindEvaluator(bank, key, matrix, seed, guard)
    queries = derive(key, "queries", matrix.digest)
    if engine == "ckks":
        from protocol.he.ckks.evaluator import CkksEvaluator

        return CkksEvaluator(bank, queries, matrix, public)
    if engine == "paillier":
        from protocol.he.paillier.evaluator import PaillierEvaluator

        return PaillierEvaluator(bank, queries, matrix, public)
    return PlaintextEvaluator(bank, queries, matrix)


def integer_kit(
    engine: str, party: str, master: bytes, seed: bytes, hint: U8, n: int, keys: KeyPair = NO_KEYS
) -> IntegerKit:
    """The bank's half of an engine for whole numbers, for one partner's hint. seed: of the ring `INTEGERS`."""
    require(engine, party)
    if engine == "blind":
        return WideSecretKit(party, master, seed, hint, n)
    return PlaintextIntegerKit(party, n) if engine == "plaintext" else KeyedIntegerKit(_cipher(engine, party, n, keys))


def integer_evaluator(
    engine: str, bank: str, key: bytes, matrix: Integers, seed: bytes, guard: Guard, public: bytes = b""
) -> IntegerEvaluator:
    """The partner's half of an engine for a matrix of whole numbers. seed: of the ring `INTEGERS`."""
    require(engine, bank)
    if engine == "blind":
        return WideEvaluator(bank, key, matrix, seed, guard)
    queries = derive(key, "queries", matrix.digest)
    if engine == "ckks":
        from protocol.he.ckks.evaluator import CkksIntegerEvaluator

        return CkksIntegerEvaluator(bank, queries, matrix, public)
    if engine == "paillier":
        from protocol.he.paillier.evaluator import PaillierIntegerEvaluator

        return PaillierIntegerEvaluator(bank, queries, matrix, public)
    return PlaintextIntegerEvaluator(bank, queries, matrix)


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
    if engine == "ckks":
        return vectors * -(-rows // (CKKS.n // 2)) * (_CKKS_BYTES + 4096)
    if engine == "paillier":  # a number takes 47 sums, and b vectors fill at least half of it
        return (2 * vectors * rows // 47 + answers) * (2 * PAILLIER_BITS // 8 + 16) + 128 * answers
    return 8 * rows * vectors


def integer_bytes(engine: str, rows: int, vectors: int, answers: int) -> int:
    """As `answer_bytes`, of a matrix of whole numbers."""
    return INTEGERS.log2_q // 8 * rows * vectors if engine in OWN else answer_bytes(engine, rows, vectors, answers)
