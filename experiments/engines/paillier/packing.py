"""Several signed sums in one big number, 64 bits each."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from experiments.engines.parameters import PAILLIER_BITS
from protocol.messages import I64

FIELD: Final = 64
"""Bits of one sum in a number: 63 signed, and the carry from below."""
FIELDS: Final = (PAILLIER_BITS - 1) // FIELD


def batches(vectors: I64) -> Iterator[I64]:
    """As many vectors at a time as one number holds, shape (B, ...)."""
    for begin in range(0, len(vectors), FIELDS):
        yield vectors[begin : begin + FIELDS]


def groups_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers hold the sums of shape (B, K), and how many rows of B sums each."""
    vectors, rows = shape
    size = FIELDS // vectors
    return -(-rows // size), size


def joined(values: I64) -> list[int]:
    """One number a column of values, shape (F, m): sum over f of values[f] 2^(64 f)."""
    return [sum(int(v) << (FIELD * f) for f, v in enumerate(column)) for column in values.T.tolist()]


def parted(numbers: list[int], fields: int) -> I64:
    """The values of `joined`, shape (m, F): each takes back what it borrowed from the one above."""
    out = np.zeros((len(numbers), fields), dtype=np.int64)
    half = 1 << (FIELD - 1)
    for k, left in enumerate(numbers):
        number = int(left)
        for f in range(fields):
            out[k, f] = value = ((number + half) & ((1 << FIELD) - 1)) - half
            number = (number - value) >> FIELD
    return out
