"""Engine `plaintext`: the same interface without encryption, for tests and to price what encryption costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from protocol.errors import IntegrityError
from protocol.he.base import MAX_PRODUCT, Body, Cleartext, Guard, Integers, OneHot, Sealed, request_digest
from protocol.he.integers import IntegerBody, SealedIntegers, require_room, sum_words16
from protocol.he.kernels import sum_words
from protocol.he.streams import tag
from protocol.messages import I64, U8, U64

_NO_NOISE: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class PlaintextKit:
    """The bank's half: vectors leave as they are."""

    party: str
    n: int

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Nothing is sealed."""
        if vectors.shape != (len(labels), self.n):
            raise ValueError("one vector of the row space's length a label")
        return Sealed(Cleartext(values=vectors), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """The sums as they came."""
        if answer.shape != (len(sealed.secrets), len(rows)):
            raise IntegrityError(
                self.party, "answered with another number of sums than asked", "run the same version on both sides"
            )
        return answer.view(np.int64)


@dataclass(frozen=True)
class PlaintextEvaluator:
    """The partner's half: it sees the vectors, and answers exact sums with noise."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    guard: Guard = field(repr=False)

    def hint(self) -> U64:
        """None is needed."""
        return np.zeros((self.matrix.rows, 0), dtype=np.uint64)

    def answer(self, body: Body, labels: Sequence[str], columns: Sequence[int], noise: I64) -> U64:
        """M[rows of columns]·u + noise as uint64."""
        if not isinstance(body, Cleartext):
            raise IntegrityError(self.bank, "sent a query of another engine", "set the same engine at both nodes")
        if body.values.shape != (len(labels), self.matrix.n):
            raise IntegrityError(
                self.bank, "sent a query of another length than the hint", "run `bank-node align` again"
            )
        self.matrix.require_columns(columns, self.bank)
        for label, values, added in zip(labels, body.values, noise, strict=True):
            request = request_digest(tag(self.key, values.data), columns, added)
            self.guard.admit_answer(self.matrix.digest, label, request, 0.0)
        return sum_words(self.matrix, columns, body.values.view(np.uint64)) + noise.view(np.uint64)


@dataclass(frozen=True)
class PlaintextIntegerKit:
    """The bank's half for whole numbers: vectors leave as they are."""

    party: str
    n: int

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Nothing is sealed. Raises: RefusedError: a sum could overflow."""
        if vectors.shape != (len(labels), self.n):
            raise ValueError("one vector of the row space's length a label")
        require_room(self.party, vectors, largest)
        return SealedIntegers(Cleartext(values=vectors), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """The sums as they came."""
        if answer.shape != (len(sealed.secrets), len(rows), 8):
            raise IntegrityError(
                self.party, "answered with another number of sums than asked", "run the same version on both sides"
            )
        return np.ascontiguousarray(answer).view("<i8")[..., 0].astype(np.int64)


@dataclass(frozen=True)
class PlaintextIntegerEvaluator:
    """The partner's half for whole numbers: it sees the vectors, and answers exact sums."""

    bank: str
    key: bytes = field(repr=False)
    matrix: Integers = field(repr=False)
    guard: Guard = field(repr=False)

    def hint(self) -> U8:
        """None is needed."""
        return np.zeros((self.matrix.rows_count, 0, 10), dtype=np.uint8)

    def answer(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> U8:
        """M[rows]·u, eight bytes each."""
        if not isinstance(body, Cleartext):
            raise IntegrityError(self.bank, "sent a query of another engine", "set the same engine at both nodes")
        if body.values.shape != (len(labels), self.matrix.n):
            raise IntegrityError(self.bank, "sent a query of another length than the hint", "ask for a new hint")
        self.matrix.require_rows(rows, self.bank)
        for label, values in zip(labels, body.values, strict=True):
            request = request_digest(tag(self.key, values.data), rows.tolist(), _NO_NOISE)
            self.guard.admit_answer(self.matrix.digest, label, request, 0.0)
        words = body.values.astype("<i8", copy=False).view("<u2").reshape(*body.values.shape, 4)
        sums = sum_words16(self.matrix, rows, words).view(np.uint64)
        shifts = np.arange(0, 64, 16, dtype=np.uint64)[:, None]
        total = (sums << shifts).sum(axis=1, dtype=np.uint64)
        octets: U8 = total.astype("<u8").view(np.uint8)
        return octets.reshape(*total.shape, 8)
