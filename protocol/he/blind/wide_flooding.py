"""The flooding of an answer over whole numbers: three uniform integers of 128 bits, and what it costs of the budget.

The argument is that of `flooding.py`. The width is not fitted to a matrix, or it would tell of it: it is the widest of
whole words that leaves Delta room, and far more than the largest matrix needs (docs/protocols/blind-product.md).
"""

from typing import Final

import numpy as np

from protocol.he.blind.flooding import TERMS
from protocol.he.blind.wide_ring import FLOOD_WORDS, WORD_BITS, N
from protocol.he.parameters import FLOOD_BITS
from protocol.he.streams import expand
from protocol.messages import F64, I64, U8

WIDE_FLOOD_BITS: Final = FLOOD_WORDS * WORD_BITS


def wide_flooding(key: bytes, rows: int) -> I64:
    """E of every row of a matrix, in words not carried, shape (8, rows); 48 bytes of the key's stream a row."""
    return centred_words(expand(key, TERMS * 2 * FLOOD_WORDS * rows).reshape(rows, TERMS, -1))


def centred_words(drawn: U8) -> I64:
    """Integers given as little-endian bytes, shape (rows, 3, 2L), summed by threes less 3·2^(16 L - 1): (L, rows)."""
    words: I64 = drawn.view("<u2").sum(axis=1, dtype=np.int64).T
    words[-1] -= TERMS << (WORD_BITS - 1)
    return words


def flood_cost(norms: F64) -> float:
    """What one answer takes of a hint's flood budget: sum of 10.5 (||M_r||^2 + 2 N), norms of the rows asked.

    In the units of the one-hot ring, whose flooding has 60 bits: a shift weighs as its share of the width.
    """
    return float(10.5 * (norms + 2 * N).sum()) * 4.0 ** (FLOOD_BITS - WIDE_FLOOD_BITS)
