"""The bank's half of the blind product: seal a vector, open an answer.

    b_j = a_j·s + e_j + Delta·u_j,   b' = a'·s + e'      (mod q)
    M·u = round((beta - <H, s>) / Delta)

Source: docs/protocols/blind-product.md; SimplePIR, eprint 2022/949.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from protocol.errors import IntegrityError
from protocol.he import ring
from protocol.he.base import PLAINTEXT_BITS, Ciphertext, Sealed
from protocol.he.kernels import words_times_small
from protocol.he.parameters import DELTA_LOG2, LOW_BITS, N
from protocol.he.streams import I8, centred_binomial, derive, digest, ternary
from protocol.messages import I64, U64

_DELTA_SHIFT = np.uint64(DELTA_LOG2 - LOW_BITS)


@dataclass(frozen=True)
class BlindSecretKit:
    """Seals and opens under one partner's hint. master: the bank's key, never sent. n: length of the row space."""

    party: str
    master: bytes = field(repr=False)
    seed: bytes
    hint: U64 = field(repr=False)
    n: int

    def __post_init__(self) -> None:
        if self.hint.ndim != 2 or self.hint.shape[1] != N:
            raise IntegrityError(
                self.party, "sent a hint of another shape than its layout", "run the same version on both sides"
            )
        object.__setattr__(self, "_public", ring.public_transform(self.seed, -(-self.n // N)))

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Seal B vectors, shape (B, n), |entries of M·u| < 2^41. The same vector and label give the same bytes."""
        if vectors.shape != (len(labels), self.n):
            raise ValueError("one vector of the row space's length a label")
        high = np.empty((len(labels), self.n + N), dtype=np.uint64)
        low = np.empty((len(labels), self.n + N, 5), dtype=np.uint8)
        secrets = np.empty((len(labels), N), dtype=np.int8)
        for k, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
            key = derive(self.master, "query", self.seed, label.encode(), digest(vector.astype("<i8").tobytes()))
            secrets[k] = ternary(derive(key, "secret"), N)
            high[k], low_words = self._encrypt(secrets[k], key, vector)
            low[k] = low_words[:, None].view(np.uint8).reshape(-1, 8)[:, :5]
        return Sealed(Ciphertext(high=high, low=low), secrets)

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise, exact, shape (B, len(rows)), from the top words of the answer."""
        if answer.shape != (len(sealed.secrets), len(rows)):
            raise IntegrityError(
                self.party, "answered with another number of sums than asked", "run the same version on both sides"
            )
        masks = np.empty_like(answer)
        words_times_small(self.hint, sealed.secrets, rows, masks)
        half = np.uint64(1) << (_DELTA_SHIFT - np.uint64(1))
        value = ((answer - masks + half) >> _DELTA_SHIFT).astype(np.int64)
        top = np.int64(1 << (PLAINTEXT_BITS - 1))
        return (value ^ top) - top

    def _encrypt(self, secret: I8, key: bytes, vector: I64) -> tuple[U64, U64]:
        """b_1 .. b_J (the first n entries), then b', as high and low words, shape (n + N,)."""
        public: ring.C128 = self._public  # type: ignore[attr-defined]
        limbs = ring.untransform(public * ring.transform(secret.astype(np.float64)))
        errors = centred_binomial(derive(key, "error"), self.n)
        blocks = np.zeros(limbs.shape[0] * N, dtype=np.int64)
        blocks[:N] = centred_binomial(derive(key, "error'"), N)
        blocks[N : N + self.n] = errors
        limbs[:, 0] += blocks.reshape(-1, N)
        residues = ring.from_limbs(limbs)
        high, low = residues.high.reshape(-1), residues.low.reshape(-1)
        body = high[N : N + self.n] + (vector.view(np.uint64) << _DELTA_SHIFT)
        return np.concatenate((body, high[:N])), np.concatenate((low[N : N + self.n], low[:N]))
