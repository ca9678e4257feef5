"""What an engine offers for a partner's matrix of whole numbers (`Integers`): exact products with secret vectors.

The halves are those of `base.py`. Sums carry no noise, since a regression solves equations with them; how many may be
asked is a matter of budgets. |M·u| stays below 2^62, which `require_room` makes sure of before anything is sent.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from protocol.errors import RefusedError
from protocol.fields import require_array
from protocol.he.base import (
    MAX_PRODUCT,
    CheckedQuery,
    Cleartext,
    Integers,
    KeyedVectors,
    SealedQuery,
)
from protocol.messages import I64, U8, Message

INTEGER_BITS: Final = 64
"""Of an entry of M·u."""
SUM_BITS: Final = 62
"""Every sum is smaller than 2^62 in size."""
CHUNK: Final = 512
"""Held positions a product of float64 takes at a time. Exact up to 4096 (words of 16 bits, values of 24, so many of
them, in 53 bits); so few leave a part of M in the cache."""

U16 = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


class WideCiphertext(Message, frozen=True, tag="blind-wide"):
    """Sealed vectors for a matrix of whole numbers: residues mod 2^208, b and then b'.

    residues: 26 bytes each, the least first, shape (B, n + N, 26).
    """

    residues: U8

    def __post_init__(self) -> None:
        require_array(self.residues, None, None, 26)


IntegerBody = WideCiphertext | Cleartext | KeyedVectors
SealedIntegers = SealedQuery[IntegerBody]


class IntegerKit(Protocol):
    """The bank's half, for one hint of one partner."""

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Seal B vectors of the row space, shape (B, n), under one query label each.

        largest: bounds the entries of the rows of M that will be asked: MAX_VALUE if they are columns only.
        Raises: RefusedError: a sum could overflow.
        """

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """M[rows]·u, exact, shape (B, len(rows)). answer: as `IntegerEvaluator.answer` gave it."""


class IntegerEvaluator(Protocol):
    """The partner's half, for one matrix."""

    def hint(self) -> U8:
        """What the bank needs once to open answers; shape (R, N, 10), or (R, 0, 10) for `plaintext`."""

    @property
    def modular(self) -> bool:
        """Whether sums are taken modulo 2^64, so that random high bits hide what a query did not declare."""

    def check(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> CheckedQuery[Any]:
        """The query, once it is known to be well-formed; nothing is computed over the matrix yet.

        Raises: IntegrityError: a body of another engine or length, or rows that do not exist.
        """

    def answer(self, query: CheckedQuery[Any], added: I64) -> U8:
        """Sealed M[rows]·u + added, little-endian, shape (B, len(rows), bytes a sum). added: shape (B, len(rows)),
        multiples of what the sums can reach, or 0 on engines that are not modular.
        """


def require_room(party: str, vectors: I64, largest: int = MAX_PRODUCT) -> None:
    """Make sure that no sum overflows: largest·(sum of |u|) < 2^62.

    vectors: shape (B, n). party: whose sums. Raises: RefusedError.
    """
    total = np.abs(vectors.astype(np.float64)).sum(axis=-1).max(initial=0.0)
    if largest * total >= 2.0**SUM_BITS:
        raise RefusedError(
            party, f"its sums over these vectors do not fit {SUM_BITS} bits", "use coarser numbers or fewer rows"
        )


def sum_words16(matrix: Integers, rows: I64, vectors: U16) -> I64:
    """M[rows]·v for vectors of several words of 16 bits an entry: shape (B, n, L) to (B, L, len(rows)), not carried.

    Each chunk is a product of float64 matrices by BLAS, exact since 16 + 24 + log2(CHUNK) <= 53.
    """
    batch, _, count = vectors.shape
    out = np.zeros((len(rows), batch * count), dtype=np.int64)
    for begin in range(0, len(matrix.positions), CHUNK):
        at = matrix.positions[begin : begin + CHUNK]
        words = vectors[:, at].astype(np.float64).transpose(1, 0, 2).reshape(len(at), batch * count)
        out += (matrix.written(rows, begin, begin + len(at)) @ words).astype(np.int64)
    return np.ascontiguousarray(out.T).reshape(batch, count, len(rows))
