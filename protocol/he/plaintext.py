"""Engine `plaintext`: the same interface without encryption, for tests and to price what encryption costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from protocol.he.base import MAX_PRODUCT, Body, CheckedQuery, Cleartext, Integers, OneHot, Sealed
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

    def hint(self, rows: range | None = None) -> U64:
        """None is needed."""
        return np.zeros((self.matrix.rows if rows is None else len(rows), 0), dtype=np.uint64)

    @property
    def modular(self) -> bool:
        """Sums are read modulo 2^42."""
        return True

    def check(self, body: Body, labels: Sequence[str], columns: Sequence[int]) -> CheckedQuery[I64]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        vectors = body_of(body, Cleartext, self.bank).values
        require_length(vectors.shape == (len(labels), self.matrix.n), self.bank)
        self.matrix.require_columns(columns, self.bank)
        return CheckedQuery(vectors, tuple(labels), _names(self.key, vectors), tuple(columns), self.matrix.digest, 0.0)

    def answer(self, query: CheckedQuery[I64], noise: I64) -> U64:
        """M[rows of columns]·u + noise as uint64."""
        return sum_words(self.matrix, query.asked, query.body.view(np.uint64)) + noise.view(np.uint64)


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

    def hint(self) -> U8:
        """None is needed."""
        return np.zeros((self.matrix.rows_count, 0, 10), dtype=np.uint8)

    @property
    def modular(self) -> bool:
        """Sums are read modulo 2^64."""
        return True

    def check(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> CheckedQuery[I64]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        vectors = body_of(body, Cleartext, self.bank).values
        require_length(vectors.shape == (len(labels), self.matrix.n), self.bank)
        self.matrix.require_rows(rows, self.bank)
        asked = tuple(rows.tolist())
        return CheckedQuery(vectors, tuple(labels), _names(self.key, vectors), asked, self.matrix.digest, 0.0)

    def answer(self, query: CheckedQuery[I64], added: I64) -> U8:
        """M[rows]·u + added, eight bytes each."""
        vectors, rows = query.body, np.array(query.asked, dtype=np.int64)
        words = vectors.astype("<i8", copy=False).view("<u2").reshape(*vectors.shape, 4)
        sums = sum_words16(self.matrix, rows, words).view(np.uint64)
        shifts = np.arange(0, 64, 16, dtype=np.uint64)[:, None]
        total = (sums << shifts).sum(axis=1, dtype=np.uint64) + added.view(np.uint64)
        octets: U8 = total.astype("<u8").view(np.uint8)
        return octets.reshape(*total.shape, 8)


def _names(key: bytes, vectors: I64) -> tuple[bytes, ...]:
    """A name a vector, that the holder of the key alone can compute."""
    return tuple(tag(key, np.ascontiguousarray(values).data) for values in vectors)
