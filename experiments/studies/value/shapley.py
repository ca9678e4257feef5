"""Shapley values as weighted sums of what coalitions are worth.

The value of partner p is its mean contribution v(S + p) - v(S) over all orders in which partners can join. Every value
is a fixed weighted sum of v over coalitions, so that intervals follow from those of weighted sums. Values sum to
v(all) - v(nobody) whatever v is (efficiency), in a sample of orders as well.

Source: Shapley, A value for n-person games, 1953; Castro, Gomez and Tejada, Computers and Operations Research 36, 2009
(sampled orders).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial, sqrt
from typing import Final

import numpy as np

from protocol.draws import draw

MOST_EXACT: Final = 6
"""Partners up to which all 2^n coalitions are trained."""

Coalition = frozenset[str]
Weights = dict[Coalition, float]
"""What each coalition's worth counts in a value."""


def coalitions(partners: Sequence[str]) -> list[Coalition]:
    """All of them, the empty one first."""
    return [frozenset(s) for size in range(len(partners) + 1) for s in combinations(partners, size)]


def exact(partners: Sequence[str]) -> dict[str, Weights]:
    """The weights of every partner's value over all coalitions."""
    n = len(partners)
    found: dict[str, Weights] = {p: {} for p in partners}
    for coalition in coalitions(partners):
        for p in partners:
            size = len(coalition - {p})
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            found[p][coalition] = weight if p in coalition else -weight
    return found


def orders(partners: Sequence[str], count: int, seed: int) -> list[tuple[str, ...]]:
    """So many orders of joining, each with its reverse beside it, which evens out who comes early."""
    generator = draw(seed, "shapley")
    found: list[tuple[str, ...]] = []
    while len(found) < count:
        order = tuple(partners[i] for i in generator.permutation(len(partners)).tolist())
        found += [order, order[::-1]]
    return found[:count]


def sampled(chosen: Sequence[Sequence[str]]) -> dict[str, Weights]:
    """The weights of every partner's mean contribution over these orders."""
    found: dict[str, Weights] = defaultdict(lambda: defaultdict(float))
    for order in chosen:
        for place, partner in enumerate(order):
            before = frozenset(order[:place])
            found[partner][before | {partner}] += 1 / len(chosen)
            found[partner][before] -= 1 / len(chosen)
    return {partner: dict(weights) for partner, weights in found.items()}


def error_of_sampling(chosen: Sequence[Sequence[str]], worth: Mapping[Coalition, float], partner: str) -> float:
    """Standard error of a sampled value, from the pairs of an order and its reverse; 0 for a single pair, or none."""
    gains = []
    for order in chosen:
        before = frozenset(order[: order.index(partner)])
        gains.append(worth[before | {partner}] - worth[before])
    pairs = np.array([np.mean(gains[k : k + 2]) for k in range(0, len(gains), 2)])
    return float(pairs.std(ddof=1) / sqrt(len(pairs))) if len(pairs) > 1 else 0.0
