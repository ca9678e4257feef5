"""Engine `plaintext`: the same interface without encryption, for tests and to price what encryption costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from protocol.he.base import MAX_PRODUCT, NO_NOISE, Body, Cleartext, Guard, Integers, OneHot, Sealed, request_digest
from protocol.he.checks import body_of, require_length, require_sums, require_vectors
from protocol.he.integers import IntegerBody, SealedIntegers, require_room, sum_words16
from protocol.he.kernels import sum_words
from protocol.he.streams import tag
from protocol.messages import I64, U8, U64


@dataclass(frozen=True)
class PlaintextKit:
    """The bank's half: vectors leave as they are."""

    party: str
    n: int

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Nothing is sealed."""
        require_vectors(vectors, labels, self.n)
        return Sealed(Cleartext(values=vectors), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """The sums as they came."""
        require_sums(answer.shape == (len(sealed.secrets), len(rows)), self.party)
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
        vectors = body_of(body, Cleartext, self.bank).values
        require_length(vectors.shape == (len(labels), self.matrix.n), self.bank)
        self.matrix.require_columns(columns, self.bank)
        for label, values, added in zip(labels, vectors, noise, strict=True):
            request = request_digest(tag(self.key, values.data), columns, added)
            self.guard.admit_answer(self.matrix.digest, label, request, 0.0)
        return sum_words(self.matrix, columns, vectors.view(np.uint64)) + noise.view(np.uint64)


@dataclass(frozen=True)
class PlaintextIntegerKit:
    """The bank's half for whole numbers: vectors leave as they are."""

    party: str
    n: int

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Nothing is sealed. Raises: RefusedError: a sum could overflow."""
        require_vectors(vectors, labels, self.n)
        require_room(self.party, vectors, largest)
        return SealedIntegers(Cleartext(values=vectors), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """The sums as they came."""
        require_sums(answer.shape == (len(sealed.secrets), len(rows), 8), self.party)
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
        vectors = body_of(body, Cleartext, self.bank).values
        require_length(vectors.shape == (len(labels), self.matrix.n), self.bank)
        self.matrix.require_rows(rows, self.bank)
        for label, values in zip(labels, vectors, strict=True):
            request = request_digest(tag(self.key, values.data), rows.tolist(), NO_NOISE)
            self.guard.admit_answer(self.matrix.digest, label, request, 0.0)
        words = vectors.astype("<i8", copy=False).view("<u2").reshape(*vectors.shape, 4)
        sums = sum_words16(self.matrix, rows, words).view(np.uint64)
        shifts = np.arange(0, 64, 16, dtype=np.uint64)[:, None]
        total = (sums << shifts).sum(axis=1, dtype=np.uint64)
        octets: U8 = total.astype("<u8").view(np.uint8)
        return octets.reshape(*total.shape, 8)
