"""A hint's products, checked at a random root: a wrong coefficient, of a broken FFT say, never leaves the partner.

The products are taken mod x^N + 1 over the integers, before anything is reduced mod q, so that they hold at every
2N-th root of unity modulo any prime = 1 mod 2N. At one drawn by chance a wrong product passes with a probability of
about 2^-61. Evaluation is a product with the root's powers in words of 16 bits, exact in float64.
"""

from dataclasses import dataclass
from secrets import randbelow
from typing import Final

import numpy as np

from protocol.he.blind.wide_ring import WORD_BITS, N, centred, public_words
from protocol.messages import F64, I64

PRIME: Final = 2305843009213317121
"""The largest prime below 2^61 that is 1 mod 2N."""
_POWER_WORDS: Final = 4


@dataclass(frozen=True)
class Root:
    """A primitive 2N-th root of unity mod PRIME. powers: of it, and inverses: of 1 / root, in words, (N, 4)."""

    powers: F64
    inverses: F64

    def public_value(self, seed: bytes, block: int) -> int:
        """a(1 / root) of a' or a_block, as the hint multiplies with it."""
        return int(_value(centred(public_words(seed, block)).astype(np.float64), self.inverses))

    def values(self, coefficients: F64) -> list[int]:
        """Polynomials of at most 24 bits and a sign at the root, shape (K, N)."""
        return [_joined(row[None]) for row in coefficients @ self.powers]

    def value(self, words: I64, carry: I64) -> int:
        """One polynomial at the root, given by its words, shape (13, N), and what is left above them, (N,)."""
        # The carry has up to 48 bits and a sign: two words, and a signed one.
        above = np.stack((carry & 0xFFFF, carry >> WORD_BITS & 0xFFFF, carry >> 2 * WORD_BITS))
        return _value(np.concatenate((words, above)).astype(np.float64), self.powers)


def random_root() -> Root:
    """A root from the operating system's generator."""
    while True:
        root = pow(1 + randbelow(PRIME - 1), (PRIME - 1) // (2 * N), PRIME)
        if pow(root, N, PRIME) == PRIME - 1:
            return Root(_powers(root), _powers(pow(root, -1, PRIME)))


def _powers(root: int) -> F64:
    powers = np.empty(N, dtype=np.uint64)
    power = 1
    for t in range(N):
        powers[t] = power
        power = power * root % PRIME
    return powers.astype("<u8").view("<u2").reshape(N, _POWER_WORDS).astype(np.float64)


def _value(words: F64, powers: F64) -> int:
    return _joined(words @ powers)


def _joined(products: F64) -> int:
    """The number whose words times powers' words these are, shape (L, 4), mod PRIME."""
    total = 0
    for k, line in enumerate(products.tolist()):
        total += sum(int(value) << (WORD_BITS * w) for w, value in enumerate(line)) << (WORD_BITS * k)
    return total % PRIME
