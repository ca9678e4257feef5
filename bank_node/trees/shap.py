"""Why a row has its margin: exact Shapley values of a model of trees, over the columns of all parties.

A row's margin is the base plus one share a column. The worth of a set of columns is what the trees say of the row with
these columns known; at a split on any other, a row goes both ways by the cover of the branches. Columns that a row is
not told apart by get 0, and a tree's shares add up to its value for the row. Partners' splits count by column, though
the bank sees handles: that two handles are of one column it was told in training.

A leaf is reached by its path, on which a few columns stand, at most as many as the tree is deep; for each set of them
the leaf's worth is its value times the covers of those not known. There are so few sets that they are all written out.

Source: Lundberg, Erion, Lee, arXiv:1802.03888 (path-dependent TreeSHAP); Mitchell, Frank, Holmes, GPUTreeShap,
arXiv:2010.13972 (leaf by leaf).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
import numpy.typing as npt

from bank_node.family.contributions import Contributions
from bank_node.models.trees import TreeModel, TreeNode
from bank_node.partners.partner_view import LEFT, SPECIAL, Sides
from protocol.messages import F64, I64


@dataclass(frozen=True)
class _Step:
    """One split on a leaf's path: its node, whether the path goes left, and the share of the cover that goes along."""

    node: TreeNode
    left: bool
    share: float


def contributions(
    model: TreeModel, columns: Mapping[str, Sequence[str]], sides: Mapping[str, npt.NDArray[np.int8]], rows: int
) -> Contributions:
    """Of a model with one margin.

    Args:
        columns: by party, the column of each of its handles. sides: by party, where each of n rows goes at each of its
            handles, shape (handles, n).
    """
    assert not isinstance(model.base, tuple)
    features = tuple(dict.fromkeys((party, column) for party in model.parties for column in columns[party]))
    place = {feature: k for k, feature in enumerate(features)}
    shares, base = np.zeros((rows, len(features))), model.base
    for tree in model.trees:
        for leaf, path in _paths(tree):
            by_feature: dict[int, list[_Step]] = {}
            for step in path:
                feature = place[step.node.party, columns[step.node.party][step.node.handle]]
                by_feature.setdefault(feature, []).append(step)
            base += _add_leaf(shares, leaf.value, by_feature, sides)
    return Contributions(features, shares, base)


def _paths(tree: tuple[TreeNode, ...]) -> Iterator[tuple[TreeNode, list[_Step]]]:
    """Every leaf with the splits that lead to it."""
    waiting: list[tuple[TreeNode, list[_Step]]] = [(tree[0], [])]
    while waiting:
        node, path = waiting.pop()
        if node.left < 0:
            yield node, path
            continue
        for child, left in ((tree[node.left], True), (tree[node.right], False)):
            share = child.cover / node.cover if node.cover > 0 else 0.5
            waiting.append((child, [*path, _Step(node, left, share)]))


def _add_leaf(
    shares: F64, value: float, by_feature: dict[int, list[_Step]], sides: Mapping[str, npt.NDArray[np.int8]]
) -> float:
    """Add one leaf's part to the shares; its part of the base."""
    count = len(by_feature)
    covers = [float(np.prod([step.share for step in steps])) for steps in by_feature.values()]
    if not count:
        return value
    worth = value * _unknown(covers)
    table = (_weights(count) @ worth).reshape(2**count, count)
    code: I64 = np.zeros(len(shares), dtype=np.int64)
    for bit, steps in enumerate(by_feature.values()):
        code += np.logical_and.reduce([_goes(step, sides) for step in steps]).astype(np.int64) << bit
    shares[:, list(by_feature)] += table[code]
    return float(worth[0])


def _goes(step: _Step, sides: Mapping[str, npt.NDArray[np.int8]]) -> npt.NDArray[np.bool_]:
    """Which rows go along, shape (n,)."""
    side: Sides = sides[step.node.party][step.node.handle]
    left: npt.NDArray[np.bool_] = (side == LEFT) | ((side == SPECIAL) & step.node.default_left)
    return left if step.left else ~left


def _unknown(covers: Sequence[float]) -> F64:
    """By set of known columns (bit k: column k), the product of the covers of the others, shape (2^d,)."""
    out = np.ones(1)
    for cover in covers:
        out = np.concatenate((out * cover, out))
    return out


@cache
def _weights(d: int) -> F64:
    """Shapley's weights for d columns, shape (2^d · d, 2^d).

    Line (p, j): of a row that goes along the path at the columns of set p, the share of column j by the worth of every
    set: a set that holds a column at which the row leaves the path is worth nothing.
    """
    out = np.zeros((2**d, d, 2**d))
    for known in range(2**d):
        size = known.bit_count()
        inside = np.array([known & p == known for p in range(2**d)], dtype=np.float64)
        for j in range(d):
            if known >> j & 1:
                out[:, j, known] += inside * factorial(size - 1) * factorial(d - size) / factorial(d)
            else:
                out[:, j, known] -= inside * factorial(size) * factorial(d - size - 1) / factorial(d)
    return out.reshape(2**d * d, 2**d)
