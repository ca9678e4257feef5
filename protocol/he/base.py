"""What an encryption engine offers: a product of the bank's secret vectors with a partner's private matrix.

The capability is the type. The bank holds a `SecretKit`, which seals vectors and opens answers; the partner
holds a `PublicEvaluator`, which has no method that decrypts. `blind` and `plaintext` implement both.

The partner's matrix M has one row a bin and one column a position of the shared row space; it is given as a
`OneHot`: for a position i and a column j, exactly one of the column's rows is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from protocol.messages import I64, U8, U64, Message

I32 = npt.NDArray[np.int32]

PLAINTEXT_BITS = 42
"""Signed width of one entry of M·u, noise included. Both engines refuse a plan that needs more."""


@dataclass(frozen=True)
class OneHot:
    """A partner's one-hot bins: the matrix M, never written out.

    bins: bin of each held position, shape (m, d), uint8, bins[i, j] < sizes[j].
    sizes: rows of M a column, shape (d,), int64; row offset[j] + bins[i, j] is 1 at position i.
    n: length of the row space, n >= m.
    positions: shape (m,), int64, ascending: where the held rows stand; None if m == n (all are held).
    """

    bins: U8
    sizes: I64
    n: int
    positions: I64 | None = None

    @property
    def offsets(self) -> I64:
        """First row of each column, and the number of rows last, shape (d + 1,)."""
        return np.concatenate(([0], np.cumsum(self.sizes))).astype(np.int64)

    def rows_of(self, columns: Sequence[int]) -> I64:
        """The rows of M that belong to the given columns, in that order."""
        offsets = self.offsets
        return np.concatenate(
            [np.arange(offsets[j], offsets[j + 1]) for j in columns] or [np.zeros(0)]
        ).astype(np.int64)


class Ciphertext(Message, frozen=True, tag="blind"):
    """Sealed vectors of the blind product: residues mod 2^104 as a top and a low word.

    high: residue >> 40, shape (B, n + N), uint64. low: the low 40 bits, little-endian bytes, (B, n + N, 5).
    The last N entries of each row are b'.
    """

    high: U64
    low: U8


class Cleartext(Message, frozen=True, tag="plaintext"):
    """The vectors as they are, shape (B, n), int64: engine `plaintext`, for tests only."""

    values: I64


Body = Ciphertext | Cleartext


class SecretKit(Protocol):
    """The bank's half, for one hint of one partner."""

    def seal(self, vectors: I64, labels: Sequence[str]) -> Body:
        """Seal B vectors. vectors: shape (B, n), |entries of M·u| < 2^41. labels: one query label each."""

    def open(self, sealed: Body, rows: I64, answer: U64) -> I64:
        """M[rows]·u of the vectors last sealed into `sealed`. answer, result: shape (B, len(rows))."""


class PublicEvaluator(Protocol):
    """The partner's half, for one matrix."""

    def hint(self, bank_nonce: bytes) -> U64:
        """What the bank needs once to open answers; shape (R, N) or (0, 0)."""

    def answer(self, sealed: Body, labels: Sequence[str], columns: Sequence[int], noise: I64) -> U64:
        """Sealed M[rows of columns]·u + noise. noise, result: shape (B, rows of those columns).

        Raises:
            RefusedError: the flood budget is spent, or the same label came with another query.
            IntegrityError: another length than the matrix, a residue >= q, an unknown hint.
        """
