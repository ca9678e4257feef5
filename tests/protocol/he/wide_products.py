"""Matrices of whole numbers for tests."""

import numpy as np

from protocol.he.base import MAX_VALUE, Integers
from protocol.messages import I64


def all_pairs(columns: int) -> I64:
    """Rows of M: every column, then every product of two, shape (d + d (d + 1) / 2, 2)."""
    pairs = [(a, b) for a in range(columns) for b in range(a, columns)]
    return np.array([*((a, -1) for a in range(columns)), *pairs], dtype=np.int64)


def integers(n: int, columns: int, held: I64, rng: np.random.Generator) -> Integers:
    """Random values of every size, the largest among them, under all pairs of columns."""
    values = rng.integers(-MAX_VALUE, MAX_VALUE + 1, (len(held), columns))
    values[::3] = rng.choice([-MAX_VALUE, MAX_VALUE], values[::3].shape)
    return Integers(values.astype(np.int16), all_pairs(columns), n, held.astype(np.int64))


def written_integers(matrix: Integers) -> I64:
    """M itself, shape (R, n)."""
    out = np.zeros((matrix.rows_count, matrix.n), dtype=np.int64)
    for r, (first, second) in enumerate(matrix.rows):
        column = matrix.values[:, first].astype(np.int64)
        out[r, matrix.positions] = column if second < 0 else column * matrix.values[:, second]
    return out
