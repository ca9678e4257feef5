"""The bank's half of the engines with a pair of keys, `ckks` and `paillier`, over what each does with vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from experiments.engines.octets import words_of
from protocol.he.base import MAX_PRODUCT, KeyedVectors, Sealed
from protocol.he.integers import SealedIntegers, require_room
from protocol.he.streams import I8
from protocol.messages import I64, U8, U64


class Cipher(Protocol):
    """Encrypts vectors for one partner, and opens its sums. party: its name."""

    @property
    def party(self) -> str: ...

    def sealed(self, vectors: I64, labels: Sequence[str], whole: bool) -> KeyedVectors:
        """B vectors, shape (B, n), encrypted with fresh randomness. whole: for a matrix of whole numbers."""

    def opened(self, count: int, rows: int, answer: U64) -> I64:
        """The sums of so many vectors over so many rows, shape (count, rows). Raises: IntegrityError."""


@dataclass(frozen=True)
class KeyedKit:
    """For a one-hot matrix."""

    cipher: Cipher

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Encrypt B vectors, shape (B, n)."""
        return Sealed(self.cipher.sealed(vectors, labels, whole=False), _no_secrets(labels))

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise, shape (B, len(rows))."""
        return self.cipher.opened(len(sealed.secrets), len(rows), answer)


@dataclass(frozen=True)
class KeyedIntegerKit:
    """For a matrix of whole numbers; sums of `ckks` are right to some 40 bits."""

    cipher: Cipher

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Encrypt B vectors, shape (B, n). Raises: RefusedError: a sum could overflow."""
        require_room(self.cipher.party, vectors, largest)
        return SealedIntegers(self.cipher.sealed(vectors, labels, whole=True), _no_secrets(labels))

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """M[rows]·u, shape (B, len(rows))."""
        return self.cipher.opened(len(sealed.secrets), len(rows), words_of(answer, self.cipher.party))


def _no_secrets(labels: Sequence[str]) -> I8:
    """The keys are kept apart; only the number of vectors is told."""
    return np.zeros((len(labels), 0), dtype=np.int8)
