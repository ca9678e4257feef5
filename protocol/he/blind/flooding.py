"""The flooding E of an answer: it hides the error of the decrypted sum, which depends on the partner's matrix.

E is the sum of three uniform integers of 60 bits, less its mean of 3 * 2^59. Its density is smooth enough that a
shift by c changes it only in the second order: the Fisher information of the sum of three uniforms on [0, 1] is
4.562, so shifts whose squares add up to S stay within a statistical distance of sqrt(4.562 S) / 2^61, which is
2^-40 at S = 2^39.8, the flood budget. A single uniform would lose one bit a factor of two in c, not in its square.
Integers only: a float Gaussian leaves its low bits bare (Mironov, CCS 2012).
"""

from typing import Final

import numpy as np

from protocol.he.parameters import FLOOD_BITS
from protocol.he.streams import words
from protocol.messages import I64, U64

TERMS: Final = 3


def flooding(key: bytes, rows: int) -> I64:
    """E of every row of a matrix, shape (rows,), int64; three words of the key's stream a row, in order."""
    return centred_sum(words(key, TERMS * rows).reshape(rows, TERMS), FLOOD_BITS)


def centred_sum(drawn: U64, bits: int) -> I64:
    """The low `bits` bits of each word, summed over the last axis of three, less 3 * 2^(bits - 1)."""
    total = (drawn & np.uint64((1 << bits) - 1)).sum(axis=-1, dtype=np.uint64)
    centred: I64 = total.view(np.int64) - np.int64(TERMS << (bits - 1))
    return centred
