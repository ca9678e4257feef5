"""Engine `ckks` as nodes find it. Its library is imported where it is used."""

from typing import Final

from experiments.engines.keyed import KeyedIntegerKit, KeyedKit
from experiments.engines.parameters import CKKS, CLASSICAL_BITS
from protocol.he.base import Integers, KeyPair, OneHot, PublicEvaluator, SecretKit
from protocol.he.engines import Engine
from protocol.he.integers import IntegerEvaluator, IntegerKit

_CIPHERTEXT_BYTES: Final = 2 * (len(CKKS.moduli) - 1) * CKKS.n * 8
"""Two polynomials, modulo every prime but the last."""


class Ckks:
    """The product under CKKS, by the SEAL inside TenSEAL."""

    about: Final = Engine(
        encrypts=True,
        classical_bits=CLASSICAL_BITS,
        reads="the partner's matrix: the error of an answer is a known function of it",
        lattice=(CKKS.log2_q, CKKS.n),
        package="tenseal",
        distribution="tenseal",
    )

    def new_keys(self) -> KeyPair:
        """Keys of the bank for one partner's hint."""
        from experiments.engines.ckks.scheme import new_keys

        return new_keys()

    def secret_kit(self, party: str, n: int, keys: KeyPair) -> SecretKit:
        """The bank's half for a one-hot matrix."""
        from experiments.engines.ckks.secret_kit import CkksCipher

        return KeyedKit(CkksCipher(party, n, keys))

    def integer_kit(self, party: str, n: int, keys: KeyPair) -> IntegerKit:
        """The bank's half for a matrix of whole numbers."""
        from experiments.engines.ckks.secret_kit import CkksCipher

        return KeyedIntegerKit(CkksCipher(party, n, keys))

    def evaluator(self, bank: str, key: bytes, matrix: OneHot, public: bytes) -> PublicEvaluator:
        """The partner's half for a one-hot matrix."""
        from experiments.engines.ckks.evaluator import CkksEvaluator

        return CkksEvaluator(bank, key, matrix, public)

    def integer_evaluator(self, bank: str, key: bytes, matrix: Integers, public: bytes) -> IntegerEvaluator:
        """The partner's half for a matrix of whole numbers."""
        from experiments.engines.ckks.evaluator import CkksIntegerEvaluator

        return CkksIntegerEvaluator(bank, key, matrix, public)

    def answer_bytes(self, rows: int, vectors: int, answers: int) -> int:
        """Of the answers to queries of so many vectors in all, on so many rows of a matrix each, at most."""
        blocks = -(-rows // (CKKS.n // 2))
        return vectors * blocks * (_CIPHERTEXT_BYTES + 4096)


ENGINE: Final = Ckks()
