"""Hand columns of a graph: degrees, neighbours, personalised PageRank, and links that are not there but might be."""

from typing import Any, Final

import numpy as np

from partner_node.encoders.graph_base import Graph
from protocol.messages import F64

Matrix = Any
"""A sparse matrix of scipy."""

_DAMPING: Final = 0.85
_STEPS: Final = 40
_HUB: Final = 500
"""An end with more neighbours than these links nobody to anybody: everybody knows it."""
_SHARED: Final = 2
"""Common neighbours from which two ends are held to be linked."""


def adjacency(sparse: Any, graph: Graph, weighted: bool) -> Matrix:
    """From `first` to `second`, shape (n, n)."""
    values = graph.weight if weighted else np.ones(len(graph.weight))
    return sparse.csr_matrix((values, (graph.first, graph.second)), shape=(len(graph), len(graph)))


def hand_columns(sparse: Any, graph: Graph) -> dict[str, F64]:
    """Columns by name, shape (n,) each."""
    given, plain = adjacency(sparse, graph, True), adjacency(sparse, graph, False)
    both = ((plain + plain.T) > 0).astype(np.float64)
    found = _degrees(graph, given, plain, both)
    rank = _diffused(given, np.ones(len(graph)))
    found["pagerank"] = np.log(rank * len(graph))
    for k, name in enumerate(graph.trait_names):
        found |= _of_trait(name, graph.traits[:, k], given, both)
    return found | _hidden_links(sparse, both)


def _degrees(graph: Graph, given: Matrix, plain: Matrix, both: Matrix) -> dict[str, F64]:
    neighbours = _sums(both)
    found = {
        "links out": _sums(plain),
        "links in": _sums(plain.T),
        "weight out": _sums(given),
        "weight in": _sums(given.T),
        "neighbours": neighbours,
        "neighbours mean neighbours": _ratio(both @ neighbours, neighbours),
        "mutual links": _sums(plain.multiply(plain.T)),
    }
    for months in (3, 12):
        new = graph.since <= months * 30.4375
        for name, ends in (("out", graph.first), ("in", graph.second)):
            found[f"links {name} new {months}m"] = np.bincount(ends[new], minlength=len(graph)).astype(np.float64)
    return found


def _of_trait(name: str, trait: F64, given: Matrix, both: Matrix) -> dict[str, F64]:
    """What is known of the neighbours: means by weight in both directions, the largest, and those two steps away.

    Personalised PageRank that starts where the trait is large says how near the large ones are, by any way."""
    known = (~np.isnan(trait)).astype(np.float64)
    value = np.nan_to_num(trait)
    near, counted = both @ value, both @ known
    above = np.maximum(value - (value[known > 0].min() if known.any() else 0), 0) * known
    return {
        f"{name} of own": trait,
        f"{name} of those out": _ratio(given @ value, given @ known),
        f"{name} of those in": _ratio(given.T @ value, given.T @ known),
        f"{name} of neighbours": _ratio(near, counted),
        f"{name} largest of neighbours": _largest(both, trait),
        f"{name} two steps away": _ratio(both @ near - _sums(both) * value, both @ counted - _sums(both) * known),
        f"{name} near by rank": _diffused(both, above) * len(trait),
    }


def _diffused(links: Matrix, start: F64) -> F64:
    """Personalised PageRank: where a walk is that begins anew at `start` once in a while, shape (n,), sum 1."""
    restart = start / start.sum() if start.sum() > 0 else np.full(len(start), 1 / max(len(start), 1))
    out = _sums(links)
    rank = restart
    for _ in range(_STEPS):
        lost = rank[out == 0].sum()
        rank = _DAMPING * (links.T @ (_ratio(rank, out, 0.0)) + lost * restart) + (1 - _DAMPING) * restart
    return rank


def _hidden_links(sparse: Any, both: Matrix) -> dict[str, F64]:
    """Ends that are no neighbours but have two or more in common: how many, and by how many at most.

    A common neighbour counts by 1 / log of its neighbours (Adamic and Adar 2003): one that few know says more.
    """
    degree = _sums(both)
    through = both[:, np.flatnonzero((degree >= 2) & (degree <= _HUB))]
    itself = sparse.eye_array(len(degree), format="csr")
    shared = through @ through.T
    apart = (shared - shared.multiply(((both + itself) > 0).astype(np.float64))).tocsr()
    apart.data = np.where(apart.data >= _SHARED, apart.data, 0)
    apart.eliminate_zeros()
    rarity = sparse.diags_array(1 / np.log(np.maximum(_sums(through.T), 2)))
    close = (through @ rarity @ through.T).multiply(apart > 0)
    return {
        "hidden links": np.diff(apart.indptr).astype(np.float64),
        "hidden links most in common": _dense(apart.max(axis=1)) if through.shape[1] else np.zeros(len(degree)),
        "hidden links closeness": _sums(close),
    }


def _dense(column: Matrix) -> F64:
    found: F64 = np.asarray(column.todense()).ravel().astype(np.float64)
    return found


def _sums(matrix: Matrix) -> F64:
    found: F64 = np.asarray(matrix.sum(axis=1)).ravel().astype(np.float64)
    return found


def _ratio(top: F64, bottom: F64, empty: float = np.nan) -> F64:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: F64 = np.where(np.abs(bottom) > 1e-12, top / bottom, empty)
    return found


def _largest(both: Matrix, trait: F64) -> F64:
    """The largest value among the neighbours; nan without one."""
    links = both.tocoo()
    values = trait[links.col]
    known = ~np.isnan(values)
    found = np.full(both.shape[0], -np.inf)
    np.maximum.at(found, links.row[known], values[known])
    return np.where(np.isinf(found), np.nan, found)
