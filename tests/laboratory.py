"""Columns for tests."""

import numpy as np

from protocol.table import Column


def numbers(name: str, values: np.ndarray) -> Column:
    """A numeric column."""
    return Column(name, "number", numbers=np.asarray(values, dtype=np.float64))


def categories(name: str, codes: np.ndarray) -> Column:
    """A column of categories named by their codes, -1 = missing."""
    names = tuple(f"c{k:03}" for k in range(int(codes.max()) + 1))
    return Column(name, "category", codes=codes.astype(np.int32), categories=names)


def some_columns(rng: np.random.Generator, n: int, d: int, missing: float, levels: int = 9) -> list[Column]:
    """Columns of a few levels each, with gaps."""
    out = []
    for j in range(d):
        values = rng.integers(0, levels, n).astype(float)
        values[rng.random(n) < missing] = np.nan
        out.append(numbers(f"x{j}", values))
    return out
