"""The hint over whole numbers: M·A + rho·A' + rho' a row, by FFT in float64, exact, and checked row by row.

M's entries are taken in two parts of 13 bits, each against A's words of 16. Up to `BLOCKS_A_ROUND` blocks are added
before rounding, which `ring.error_bound` allows; sums of all blocks stay below 2^62.
"""

from typing import Final

import numpy as np

from protocol.he.base import Integers
from protocol.he.blind.wide_check import PRIME, Root, random_root
from protocol.he.blind.wide_ring import CUT_WORDS, TOP_WORDS, WORDS, N, carried, public_points, to_octets
from protocol.he.ring import C128, transform, untransform
from protocol.he.streams import I8
from protocol.messages import F64, I64, U8

PART_BITS: Final = 13
BLOCKS_A_ROUND: Final = 8
_ROWS: Final = 16
"""Rows of M at a time: their sums take 14 MB, and a round of their blocks 17."""


def masked_rows(matrix: Integers, seed: bytes, masks: I8, errors: I8) -> U8:
    """H, top words, shape (R, N, 10). masks, errors: rho and rho', shape (R, N).

    Raises: ArithmeticError: a product is wrong, so that this machine's arithmetic cannot be relied on.
    """
    root, blocks = random_root(), -(-matrix.n // N)
    public = [root.public_value(seed, block) for block in range(blocks + 1)]
    out = np.empty((matrix.rows_count, N, 2 * TOP_WORDS), dtype=np.uint8)
    for first in range(0, matrix.rows_count, _ROWS):
        some = slice(first, min(first + _ROWS, matrix.rows_count))
        rows, rho = np.arange(some.start, some.stop), masks[some].astype(np.float64)
        sums = untransform(transform(rho)[:, None] * public_points(seed, 0).conj())
        sums[:, 0] += errors[some]
        added = root.values(errors[some].astype(np.float64))
        wanted = [public[0] * m + e for m, e in zip(root.values(rho), added, strict=True)]
        for begin in range(0, blocks, BLOCKS_A_ROUND):
            round_ = range(begin, min(begin + BLOCKS_A_ROUND, blocks))
            parts = [_block(matrix, rows, block) for block in round_]
            for block, part in zip(round_, parts, strict=True):
                wanted = [w + public[1 + block] * m for w, m in zip(wanted, root.values(part), strict=True)]
            _add_products(parts, [public_points(seed, 1 + block).conj() for block in round_], sums)
        out[some] = _checked(sums, wanted, root)
    return out


def _block(matrix: Integers, rows: I64, block: int) -> F64:
    """Some rows of M in one block, written out, shape (len(rows), N)."""
    begin, end = np.searchsorted(matrix.positions, (block * N, (block + 1) * N))
    out = np.zeros((len(rows), N))
    out[:, matrix.positions[begin:end] - block * N] = matrix.written(rows, int(begin), int(end))
    return out


def halves(values: F64) -> F64:
    """Values of 24 bits and a sign as low + 2^13 high, |low| <= 2^12, |high| <= 2^11: (K, N) to (K, 2, N)."""
    high = np.floor((values + (1 << (PART_BITS - 1))) / (1 << PART_BITS))
    return np.stack((values - high * (1 << PART_BITS), high), axis=1)


def _add_products(parts: list[F64], public: list[C128], sums: I64) -> None:
    """Add M·A over a round of blocks to the sums of words, shape (K, 13, N)."""
    points = [transform(halves(part)) for part in parts]
    product = np.empty((WORDS, N // 2), dtype=np.complex128)
    for r in range(len(sums)):
        for half in range(2):
            total = np.zeros_like(product)
            for point, transformed in zip(points, public, strict=True):
                total += np.multiply(transformed, point[r, half], out=product)
            sums[r] += untransform(total) << (PART_BITS * half)


def _checked(sums: I64, wanted: list[int], root: Root) -> U8:
    """The top words of rows of the hint, shape (K, N, 10), if the rows are what they should be at the root."""
    words, carry = carried(sums)
    for row, above, value in zip(words, carry, wanted, strict=True):
        if root.value(row.astype(np.int64), above) != value % PRIME:
            raise ArithmeticError("a row of a hint came out wrong: this machine's floating point cannot be relied on")
    return to_octets(words[:, CUT_WORDS:])
