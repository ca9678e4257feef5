"""Compiling numba's kernels once, into their cache on disk."""

import numpy as np

from bank_node.algorithms.histogram import sums_per_bin


def warm_kernels() -> None:
    """Run every kernel once on a few rows."""
    from experiments.benchmarks.node import benchmark_node

    sums_per_bin(np.zeros((2, 1), np.uint8), np.array([0, 1]), np.arange(2), np.ones((2, 2), np.int64))
    for batch in (1, 2, 8):
        benchmark_node(rows=64, columns=2, bins=2, batch=batch)
