"""The bank's half of the blind product: seal a vector, open an answer.

    b_j = a_j·s + e_j + Delta·u_j,   b' = a'·s + e'      (mod q)
    M·u = round((beta - <H, s>) / Delta)

Source: docs/protocols/blind-product.md; SimplePIR, eprint 2022/949.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from protocol.errors import IntegrityError, RefusedError
from protocol.he import ring
from protocol.he.base import PLAINTEXT_BITS, Ciphertext, Sealed
from protocol.he.blind.packing import DELTA_SHIFT, pack
from protocol.he.blind.stored_hint import StoredHint
from protocol.he.checks import require_sums, require_vectors
from protocol.he.kernels import words_times_small
from protocol.he.parameters import MAX_ROWS, N
from protocol.he.streams import I8, derive, tag, ternary, words
from protocol.messages import I64, U8, U64

_SHIFT: Final = np.uint64(DELTA_SHIFT)
_ROUND: Final = 4 * N
"""Rows sealed at a time, so that their FFTs stay in the cache."""


@dataclass(frozen=True)
class BlindSecretKit:
    """Seals and opens under one partner's hint. master: the bank's key, never sent. n: length of the row space."""

    party: str
    master: bytes = field(repr=False)
    seed: bytes
    hint: U64 | StoredHint = field(repr=False)
    n: int

    def __post_init__(self) -> None:
        if self.hint.ndim != 2 or self.hint.shape[1] != N:
            raise IntegrityError(
                self.party, "sent a hint of another shape than its layout", "run the same version on both sides"
            )
        if self.n > MAX_ROWS:
            raise RefusedError(self.party, f"has more rows than the {MAX_ROWS} of one hint", "align fewer rows")
        object.__setattr__(self, "_public", ring.public_transform(self.seed, -(-self.n // N)))

    @cached_property
    def _naming(self) -> bytes:
        """The key under which vectors are named."""
        return derive(self.master, "vectors", self.seed)

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Seal B vectors, shape (B, n), |entries of M·u| < 2^41. The same vector and label give the same bytes."""
        require_vectors(vectors, labels, self.n)
        high = np.empty((len(labels), self.n + N), dtype=np.uint64)
        low = np.empty((len(labels), self.n + N, 5), dtype=np.uint8)
        secrets = np.empty((len(labels), N), dtype=np.int8)
        for k, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
            content = tag(self._naming, np.ascontiguousarray(vector, dtype="<i8").data)
            key = derive(self.master, "query", self.seed, label.encode(), content)
            secrets[k] = ternary(derive(key, "secret"), N)
            self._encrypt(secrets[k], key, vector, high[k], low[k])
        return Sealed(Ciphertext(high=high, low=low), secrets)

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise, exact, shape (B, len(rows)), from the top words of the answer."""
        require_sums(answer.shape == (len(sealed.secrets), len(rows)), self.party)
        masks = np.empty_like(answer)
        if isinstance(self.hint, StoredHint):
            self.hint.times_small(sealed.secrets, rows, masks)
        else:
            words_times_small(self.hint, sealed.secrets, rows, masks)
        half = np.uint64(1) << (_SHIFT - np.uint64(1))
        value = ((answer - masks + half) >> _SHIFT).astype(np.int64)
        top = np.int64(1 << (PLAINTEXT_BITS - 1))
        return (value ^ top) - top

    def _encrypt(self, secret: I8, key: bytes, vector: I64, high: U64, low: U8) -> None:
        """Write b_1 .. b_J (their first n entries), then b', as high and low words, n + N of each."""
        public: ring.C128 = self._public  # type: ignore[attr-defined]
        factor, n = ring.transform(secret.astype(np.float64)), self.n
        drawn, points = words(derive(key, "error"), n), np.empty((_ROUND // N, *public.shape[1:]), dtype=np.complex128)
        for first in range(0, n, _ROUND):
            some, blocks = slice(first, min(first + _ROUND, n)), public[1 + first // N : 1 + (first + _ROUND) // N]
            folded = _product(blocks, factor, points[: len(blocks)])
            pack(folded, drawn[some], vector[some], high[some], low[some])
        last = words(derive(key, "error'"), N)
        pack(_product(public[:1], factor, points[:1]), last, np.zeros(N, dtype=np.int64), high[n:], low[n:])


def _product(public: ring.C128, factor: ring.C128, out: ring.C128) -> ring.C128:
    """a·s after the inverse FFT, still folded."""
    return np.asarray(np.fft.ifft(np.multiply(public, factor, out=out), out=out))
