"""What an encryption engine offers: a product of the bank's secret vectors with a partner's private matrix.

The capability is the type. The bank holds a `SecretKit`, which seals vectors and opens answers; the partner
holds a `PublicEvaluator`, which has no method that decrypts. Every engine implements both (`engines.py`).

The partner's matrix M has one row a bin and one column a position of the shared row space; it is given as a
`OneHot`: for a held position i and a column j, exactly one of the column's rows is 1. A matrix of whole numbers is
given as `Integers`; its engines are described in `integers.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np

from protocol.compiled import of_types
from protocol.errors import ALIGN_ANEW, IntegrityError
from protocol.fields import require_array
from protocol.he.parameters import INTEGERS
from protocol.he.streams import I8, digest
from protocol.messages import F64, I64, U8, U64, Message

I16 = np.ndarray[tuple[int, ...], np.dtype[np.int16]]
I32 = np.ndarray[tuple[int, ...], np.dtype[np.int32]]

PLAINTEXT_BITS: Final = 42
"""Signed width of one entry of M·u, noise included, on every engine."""


@dataclass(frozen=True)
class OneHot:
    """A partner's one-hot bins: the matrix M, never written out.

    bins: bin of each held position, shape (m, d), uint8, bins[i, j] < sizes[j].
    sizes: rows of M a column, shape (d,), int64; row offsets[j] + bins[i, j] is 1 at position positions[i].
    n: length of the row space, n >= m. positions: where the held rows stand, ascending, shape (m,), int64.
    """

    bins: U8
    sizes: I64
    n: int
    positions: I64

    @cached_property
    def offsets(self) -> I64:
        """First row of each column, and the number of rows last, shape (d + 1,)."""
        return np.concatenate(([0], np.cumsum(self.sizes))).astype(np.int64)

    @cached_property
    def _inside(self) -> bool:
        bins, at = self.bins, self.positions
        typed = of_types((bins, at, self.sizes), np.uint8, np.int64, np.int64)
        if not typed or bins.ndim != 2 or at.shape != bins.shape[:1] or self.sizes.shape != bins.shape[1:]:
            return False
        if not len(at):
            return True
        ascending = bool((np.diff(at) > 0).all()) and at[0] >= 0 and at[-1] < self.n
        return bool(ascending and (bins.max(axis=0) < self.sizes).all())

    def require_inside(self) -> None:
        """Raises ValueError for bins or positions that lie outside the matrix; both are looked at once a matrix."""
        if not self._inside:
            raise ValueError("the bins or positions of a matrix lie outside it")

    @property
    def rows(self) -> int:
        """Rows of M, one a bin."""
        return int(self.offsets[-1])

    def rows_of(self, columns: Sequence[int]) -> I64:
        """The rows of M that belong to the given columns, in that order."""
        parts = [np.arange(self.offsets[j], self.offsets[j + 1]) for j in columns]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def starts_of(self, columns: Sequence[int]) -> I64:
        """Where each of these columns starts among `rows_of(columns)`, and their number last."""
        return np.concatenate(([0], np.cumsum(self.sizes[list(columns)]))).astype(np.int64)

    def require_columns(self, columns: Sequence[int], asker: str) -> None:
        """Raises IntegrityError for a column that does not exist, or is asked twice."""
        if len(set(columns)) != len(columns) or not all(0 <= j < len(self.sizes) for j in columns):
            raise IntegrityError(asker, "asked for columns that do not exist", ALIGN_ANEW)

    @cached_property
    def digest(self) -> bytes:
        """Names the matrix: SHA-256 over its shape, sizes, positions and bins."""
        shape = np.array([self.n, *self.bins.shape], dtype="<i8")
        parts = (shape, self.sizes.astype("<i8"), self.positions.astype("<i8"), self.bins)
        return digest(*(np.ascontiguousarray(part).data for part in parts))


MAX_VALUE: Final = 1 << 12
"""Largest size of an entry of a column of `Integers`."""
MAX_PRODUCT: Final = MAX_VALUE**2
"""Largest size of a product of two of them."""


@dataclass(frozen=True)
class Integers:
    """A partner's integer columns, and products of two of them: the matrix M, never written out.

    values: shape (m, d), int16 or int32, |value| <= MAX_VALUE, at the held positions. rows: shape (R, 2), int64: row r
    of M is column rows[r, 0] where rows[r, 1] is -1, else the product of the two columns.
    n: length of the row space, n >= m. positions: where the held rows stand, ascending, shape (m,), int64.

    Raises: ValueError: larger values, or rows of columns that do not exist; both are bugs of the caller.
    """

    values: I16 | I32
    rows: I64
    n: int
    positions: I64

    def __post_init__(self) -> None:
        wide = self.values.astype(np.int64)
        if self.values.ndim != 2 or np.abs(wide).max(initial=0) > MAX_VALUE:
            raise ValueError(f"values of M are larger than {MAX_VALUE}")
        first, second = self.rows.reshape(-1, 2).T
        if not ((first >= 0) & (second >= -1) & (np.maximum(first, second) < self.values.shape[1])).all():
            raise ValueError("a row of M names a column that does not exist")

    @property
    def rows_count(self) -> int:
        """Rows of M, R."""
        return len(self.rows)

    @cached_property
    def factors(self) -> I16:
        """The columns, one after another, and a column of ones last, which -1 stands for: shape (d + 1, m)."""
        ones = np.ones((1, len(self.values)), dtype=np.int16)
        return np.concatenate((self.values.T.astype(np.int16), ones))

    @cached_property
    def norms(self) -> F64:
        """||M_r||^2 of every row, shape (R,)."""
        gram = np.zeros((len(self.factors), len(self.factors)))
        for begin in range(0, len(self.values), 1 << 14):
            squares = np.square(self.factors[:, begin : begin + (1 << 14)], dtype=np.float64)
            gram += squares @ squares.T
        return np.asarray(gram[self.rows[:, 0], self.rows[:, 1]])

    def written(self, rows: I64, begin: int, end: int) -> F64:
        """Some rows of M at the held positions begin .. end - 1, shape (len(rows), end - begin), whole numbers."""
        part = self.factors[:, begin:end].astype(np.float64)
        first, second = self.rows[rows].T
        return np.asarray(part[first] * part[second])

    def require_rows(self, rows: I64, asker: str) -> None:
        """Raises IntegrityError for a row that does not exist, or is asked twice."""
        if len(np.unique(rows)) != len(rows) or not ((rows >= 0) & (rows < len(self.rows))).all():
            raise IntegrityError(asker, "asked for sums that do not exist", ALIGN_ANEW)

    @cached_property
    def digest(self) -> bytes:
        """Names the matrix: SHA-256 over its kind, shape, rows, positions and values."""
        shape = np.array([self.n, *self.values.shape, len(self.rows)], dtype="<i8")
        parts = (shape, self.rows.astype("<i8"), self.positions.astype("<i8"), self.values.astype("<i4"))
        return digest(b"integers", *(np.ascontiguousarray(part).tobytes() for part in parts))


Q = TypeVar("Q")


@dataclass(frozen=True)
class CheckedQuery(Generic[Q]):
    """Sealed vectors that an evaluator has found well-formed, before any budget is spent.

    body: as the engine reads it. labels: one a vector. names: of each vector, under a key of the partner's: the same
    bytes have the same name, and nobody else can make two of one name. asked: columns, or rows of M. hint: the name of
    the hint that opens the answer. cost: of one vector, in the hint's flood budget.
    """

    body: Q
    labels: tuple[str, ...]
    names: tuple[bytes, ...]
    asked: tuple[int, ...]
    hint: bytes
    cost: float

    def __repr__(self) -> str:
        return "CheckedQuery(...)"


MOST_TEXT: Final = 1 << 21
"""Bytes of a query at most, besides its vectors."""
MOST_ARRAY: Final = 1 << 33
"""Bytes of a reply at most, whose size follows from the sender's table: 7,000 columns, or a million rows."""
_ENTRY_BYTES: Final = 32
"""Of an entry of a sealed vector at most, on every engine that may be used between companies."""
_COMPARED_BYTES: Final = 1 << 22
"""Of a sealed vector of few rows at most, on engines for comparison."""


def vectors_bytes(vectors: int, rows: int) -> int:
    """Bytes of so many sealed vectors over a row space at most."""
    return vectors * (_ENTRY_BYTES * (rows + INTEGERS.n) + _COMPARED_BYTES)


class Ciphertext(Message, frozen=True, tag="blind"):
    """Sealed vectors of the blind product: residues mod 2^104 as a top and a low word.

    high: residue >> 40, shape (B, n + N), uint64. low: the low 40 bits, little-endian bytes, (B, n + N, 5).
    The last N entries of each row are b'.
    """

    high: U64
    low: U8

    def __post_init__(self) -> None:
        require_array(self.high, None, None)
        require_array(self.low, *self.high.shape, 5)


class Cleartext(Message, frozen=True, tag="plaintext"):
    """The vectors as they are, shape (B, n), int64: engine `plaintext`, for tests only."""

    values: I64

    def __post_init__(self) -> None:
        require_array(self.values, None, None)


class KeyedVectors(Message, frozen=True, tag="keyed"):
    """Vectors under the bank's key pair, in parts as the library of an engine for comparison writes them."""

    parts: tuple[bytes, ...]


Body = Ciphertext | Cleartext | KeyedVectors


B = TypeVar("B")


@dataclass(frozen=True)
class KeyPair:
    """Keys of an engine that has some: `secret` stays at the bank, `public` goes to the partner with the nonce."""

    secret: bytes = b""
    public: bytes = b""

    def __repr__(self) -> str:
        return "KeyPair(...)"


NO_KEYS: Final = KeyPair()


@dataclass(frozen=True)
class SealedQuery(Generic[B]):
    """What the bank sends (`body`), and what it keeps to open the answer: ternary secrets, shape (B, N)."""

    body: B
    secrets: I8

    def __repr__(self) -> str:
        return "SealedQuery(...)"


Sealed = SealedQuery[Body]


class SecretKit(Protocol):
    """The bank's half, for one hint of one partner."""

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Seal B vectors of the row space, shape (B, n), under one query label each."""

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise of the sealed vectors, shape (B, len(rows)). answer: as the engine's evaluator gave it."""


class Guard(Protocol):
    """What a partner's budgets say to a hint."""

    def admit_seed(self, seed: bytes, matrix: bytes) -> None:
        """A seed serves one matrix. Raises: IntegrityError."""


class PublicEvaluator(Protocol):
    """The partner's half, for one matrix."""

    def hint(self, rows: range | None = None) -> U64:
        """What the bank needs once to open answers; shape (R, N), or (R, 0) on engines without hint.

        rows: of it that are wanted; all without.
        """

    @property
    def modular(self) -> bool:
        """Whether sums are taken modulo 2^42, so that random high bits hide what a query did not declare."""

    def check(self, body: Body, labels: Sequence[str], columns: Sequence[int]) -> CheckedQuery[Any]:
        """The query, once it is known to be well-formed; nothing is computed over the matrix yet.

        Raises: IntegrityError: a body of another engine or length, or columns that do not exist.
        """

    def answer(self, query: CheckedQuery[Any], noise: I64) -> U64:
        """Sealed M[rows of columns]·u + noise. noise: shape (B, rows of those columns), and so is the result of
        `blind` and `plaintext`; ciphertexts of other engines come as words, one a line (`octets.py`).
        """
