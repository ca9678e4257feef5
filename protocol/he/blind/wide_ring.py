"""The ring for whole numbers, Z_q[x]/(x^N + 1) with N = 8192 and q = 2^208: residues as thirteen words of 16 bits.

Words of 16 bits, and not the 26 of the one-hot ring, since M has entries of 25 bits here: 16 + 24 + log2(512 rows)
is 49, so that BLAS adds whole chunks exactly without M being split; and against M in two parts of 13 bits Percival's
bound (`ring.error_bound`) lets eight blocks be added up before rounding, where limbs of 26 bits would allow none.

A sum of products is kept word by word, in int64, and carried once at the end. Arrays are words first, least first:
(..., 13, N); on the wire residues stand whole, 26 bytes each.
"""

from typing import Final

import numpy as np

from protocol.he.integers import U16
from protocol.he.parameters import INTEGERS
from protocol.he.ring import C128, transform
from protocol.he.streams import derive, expand
from protocol.messages import I64, U8

N: Final = INTEGERS.n
WORD_BITS: Final = 16
WORDS: Final = INTEGERS.log2_q // WORD_BITS
CUT_WORDS: Final = 8
"""The low words of hints and answers, which are not sent: 128 bits."""
TOP_WORDS: Final = WORDS - CUT_WORDS
DELTA_WORDS: Final = 9
"""Delta = 2^144: 64 bits of plaintext, so that an entry of u is its own two's complement."""
FLOOD_WORDS: Final = 8
"""E is the sum of three uniform integers of 128 bits."""
MAX_INTEGER_ROWS: Final = 1 << 22
"""Length of a row space: sums of so many words times entries of M stay signed words."""
_RESIDUE_BYTES: Final = 2 * WORDS
_BLOCK_START: Final = N * _RESIDUE_BYTES // 16
_MASK: Final = (1 << WORD_BITS) - 1


def public_words(seed: bytes, block: int) -> U16:
    """a' (block 0) or a_block of a seed, words first, shape (13, N): 26 bytes a residue from AES-CTR."""
    raw = expand(derive(seed, "public randomness"), N * _RESIDUE_BYTES, block * _BLOCK_START)
    return np.ascontiguousarray(raw.view("<u2").reshape(N, WORDS).T)


def public_points(seed: bytes, block: int) -> C128:
    """The same, centred and transformed, shape (13, N/2)."""
    return transform(centred(public_words(seed, block)).astype(np.float64))


def centred(words: U16 | I64, bits: int = WORD_BITS) -> I64:
    """Words of so many bits, least first, in [-2^(bits - 1), 2^(bits - 1)), shape (..., L, N); the last carry is a
    multiple of q."""
    out, carry = words.astype(np.int64), np.zeros((*words.shape[:-2], words.shape[-1]), dtype=np.int64)
    for k in range(words.shape[-2]):
        word = out[..., k, :]
        word += carry
        carry = (word + (1 << (bits - 1))) >> bits
        word -= carry << bits
    return out


def carried(sums: I64) -> tuple[U16, I64]:
    """The words of sums of words, and what is left above the last one, shapes (..., L, K), (..., K); overwrites sums.

    Each sum is below 2^62 in size. As residues, with L = 13, what is left is a multiple of q.
    """
    carry = np.zeros((*sums.shape[:-2], sums.shape[-1]), dtype=np.int64)
    for k in range(sums.shape[-2]):
        word = sums[..., k, :]
        word += carry
        np.right_shift(word, WORD_BITS, out=carry)
        word &= _MASK
    return sums.astype(np.uint16), carry


def to_octets(words: U16) -> U8:
    """Words first to bytes last: (..., L, K) to (..., K, 2L)."""
    last: U8 = np.ascontiguousarray(np.swapaxes(words, -1, -2), dtype="<u2").view(np.uint8)
    return last


def from_octets(octets: U8) -> U16:
    """Bytes last to words last: (..., K, 2L) to (..., K, L)."""
    words: U16 = np.ascontiguousarray(octets).view("<u2")
    return words
