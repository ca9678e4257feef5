"""Benchmarks: each gives the ratio of our time to a stated reference's, both measured in one run."""

from collections.abc import Callable
from typing import Any, Final


def _align(rows: int = 20_000) -> dict[str, Any]:
    from experiments.benchmarks.align import benchmark_align

    return benchmark_align(rows)


def _node(rows: int = 60_000, partner_columns: int = 67, bins: int = 16) -> dict[str, Any]:
    from experiments.benchmarks.node import benchmark_node

    return benchmark_node(rows, partner_columns, bins)


def _tree(rows: int = 60_000, partner_columns: int = 0, bins: int = 16, trees: int = 100) -> dict[str, Any]:
    from experiments.benchmarks.tree import benchmark_tree

    return benchmark_tree(rows, partner_columns, bins, trees)


def _wire(rows: int = 60_000, trees: int = 100) -> dict[str, Any]:
    from experiments.benchmarks.wire import benchmark_wire

    return benchmark_wire(rows, trees)


def _memory(rows: int = 200_000, partner_columns: int = 50, bins: int = 16, trees: int = 2) -> dict[str, Any]:
    from experiments.benchmarks.memory import benchmark_memory

    return benchmark_memory(rows, partner_columns, bins, trees)


BENCHMARKS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "tree": _tree,
    "node": _node,
    "align": _align,
    "wire": _wire,
    "memory": _memory,
}
"""By name. Each is imported when it is asked for: XGBoost is no core dependency."""
