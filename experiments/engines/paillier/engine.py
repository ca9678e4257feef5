"""Engine `paillier` as nodes find it. Its library is imported where it is used."""

from typing import Final

from experiments.engines.keyed import KeyedIntegerKit, KeyedKit
from experiments.engines.parameters import CLASSICAL_BITS, PAILLIER_BITS
from protocol.he.base import Integers, KeyPair, OneHot, PublicEvaluator, SecretKit
from protocol.he.engines import Engine
from protocol.he.integers import IntegerEvaluator, IntegerKit


class Paillier:
    """The product under Paillier's encryption, by SecretFlow's HEU."""

    about: Final = Engine(
        encrypts=True,
        classical_bits=CLASSICAL_BITS,
        reads="the sums: answers are fresh ciphertexts",
        package="heu",
        distribution="sf-heu",
    )

    def new_keys(self) -> KeyPair:
        """Keys of the bank for one partner's hint."""
        from experiments.engines.paillier.scheme import new_keys

        return new_keys()

    def secret_kit(self, party: str, n: int, keys: KeyPair) -> SecretKit:
        """The bank's half for a one-hot matrix."""
        from experiments.engines.paillier.secret_kit import PaillierCipher

        return KeyedKit(PaillierCipher(party, n, keys))

    def integer_kit(self, party: str, n: int, keys: KeyPair) -> IntegerKit:
        """The bank's half for a matrix of whole numbers."""
        from experiments.engines.paillier.secret_kit import PaillierCipher

        return KeyedIntegerKit(PaillierCipher(party, n, keys))

    def evaluator(self, bank: str, key: bytes, matrix: OneHot, public: bytes) -> PublicEvaluator:
        """The partner's half for a one-hot matrix."""
        from experiments.engines.paillier.evaluator import PaillierEvaluator

        return PaillierEvaluator(bank, key, matrix, public)

    def integer_evaluator(self, bank: str, key: bytes, matrix: Integers, public: bytes) -> IntegerEvaluator:
        """The partner's half for a matrix of whole numbers."""
        from experiments.engines.paillier.evaluator import PaillierIntegerEvaluator

        return PaillierIntegerEvaluator(bank, key, matrix, public)

    def answer_bytes(self, rows: int, vectors: int, answers: int) -> int:
        """Of the answers to queries of so many vectors in all, on so many rows of a matrix each, at most."""
        # A number takes 47 sums, and b vectors fill at least half of it.
        return (2 * vectors * rows // 47 + answers) * (2 * PAILLIER_BITS // 8 + 16) + 128 * answers


ENGINE: Final = Paillier()
