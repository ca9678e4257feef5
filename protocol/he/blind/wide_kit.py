"""The bank's half of the blind product over whole numbers: seal a vector, open an answer.

The scheme is that of `secret_kit.py` in the ring of `wide_ring.py`, with Delta = 2^144: sums of 64 bits, exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from protocol.errors import IntegrityError, RefusedError
from protocol.he.base import MAX_PRODUCT
from protocol.he.blind.wide_packing import sealing_points, wide_pack
from protocol.he.blind.wide_ring import (
    CUT_WORDS,
    DELTA_WORDS,
    MAX_INTEGER_ROWS,
    TOP_WORDS,
    WORD_BITS,
    WORDS,
    N,
    carried,
    from_octets,
    to_octets,
)
from protocol.he.checks import require_sums, require_vectors
from protocol.he.integers import SealedIntegers, WideCiphertext, require_room
from protocol.he.ring import C128, transform
from protocol.he.streams import I8, derive, expand, tag, ternary, words
from protocol.messages import I64, U8

_ROWS: Final = 32
"""Rows of a hint that are multiplied at a time."""


@dataclass(frozen=True)
class WideSecretKit:
    """Seals and opens under one partner's hint. master: the bank's key, never sent. n: length of the row space."""

    party: str
    master: bytes = field(repr=False)
    seed: bytes
    hint: U8 = field(repr=False)
    n: int

    def __post_init__(self) -> None:
        if self.hint.ndim != 3 or self.hint.shape[1:] != (N, 2 * TOP_WORDS):
            raise IntegrityError(
                self.party, "sent a hint of another shape than its layout", "run the same version on both sides"
            )
        if self.n > MAX_INTEGER_ROWS:
            raise RefusedError(self.party, f"has more rows than the {MAX_INTEGER_ROWS} of one hint", "align fewer rows")

    @cached_property
    def _naming(self) -> bytes:
        """The key under which vectors are named."""
        return derive(self.master, "vectors", self.seed)

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Seal B vectors, shape (B, n). The same vector and label give the same bytes.

        largest: bounds the entries of the rows of M that will be asked. Raises: RefusedError: a sum could overflow.
        """
        require_vectors(vectors, labels, self.n)
        require_room(self.party, vectors, largest)
        vectors = np.ascontiguousarray(vectors)
        keys = [self._key(vector, label) for vector, label in zip(vectors, labels, strict=True)]
        secrets = np.stack([ternary(derive(key, "secret"), N) for key in keys]) if keys else np.zeros((0, N), np.int8)
        return SealedIntegers(WideCiphertext(residues=self._encrypted(vectors, keys, secrets)), secrets)

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """M[rows]·u, exact, shape (B, len(rows)), from the top words of the answer."""
        require_sums(answer.shape == (len(sealed.secrets), len(rows), 2 * TOP_WORDS), self.party)
        sums = from_octets(answer).astype(np.int64).transpose(0, 2, 1) - self._masks(sealed.secrets, rows)
        sums[:, 0] += 1 << ((DELTA_WORDS - CUT_WORDS) * WORD_BITS - 1)
        sums_words, _ = carried(sums)
        opened: I64 = to_octets(sums_words[:, DELTA_WORDS - CUT_WORDS :]).view("<i8")[..., 0].astype(np.int64)
        return opened

    def _key(self, vector: I64, label: str) -> bytes:
        content = tag(self._naming, np.ascontiguousarray(vector, dtype="<i8").data)
        return derive(self.master, "query", self.seed, label.encode(), content)

    def _encrypted(self, vectors: I64, keys: Sequence[bytes], secrets: I8) -> U8:
        """b_1 .. b_J (their first n entries), then b', shape (B, n + N, 26): each a_j is transformed once for all."""
        n, out = self.n, np.empty((len(keys), self.n + N, WORDS), dtype="<u2")
        factors, nothing = transform(secrets.astype(np.float64)), np.zeros(N, dtype=np.int64)
        errors, last = [derive(key, "error") for key in keys], [derive(key, "error'") for key in keys]
        points = sealing_points(self.seed, 0)
        for k, factor in enumerate(factors):
            wide_pack(_product(points, factor), words(last[k], N), nothing, out[k, n:])
        for block in range(-(-n // N)):
            points, some = sealing_points(self.seed, 1 + block), slice(block * N, min((block + 1) * N, n))
            for k, factor in enumerate(factors):
                drawn = expand(errors[k], 8 * (some.stop - some.start), block * N // 2).view("<u8")
                wide_pack(_product(points, factor), drawn, vectors[k, some], out[k, some])
        return out.view(np.uint8)

    def _masks(self, secrets: I8, rows: I64) -> I64:
        """<H_r, s> of the top words, not carried, shape (B, 5, len(rows)): float64 products of 16 bits and trits."""
        keys, hint = secrets.T.astype(np.float64), from_octets(self.hint)
        out = np.empty((TOP_WORDS, len(rows), len(secrets)), dtype=np.int64)
        for first in range(0, len(rows), _ROWS):
            part = hint[rows[first : first + _ROWS]]
            for k in range(TOP_WORDS):
                out[k, first : first + _ROWS] = part[..., k].astype(np.float64) @ keys
        return out.transpose(2, 0, 1)


def _product(points: C128, factor: C128) -> C128:
    """a·s after the inverse FFT, still folded."""
    out = points * factor
    return np.asarray(np.fft.ifft(out, out=out))
