"""Columns learned from a graph without labels: random projections of walks, and a network that tells links from none.

FastRP (Chen et al., arXiv 1908.11512) averages a random sign vector over what is reached in one to three steps.
GraphSAGE (Hamilton et al., arXiv 1706.02216) mixes an end's own inputs with the mean of its neighbours', twice, and is
trained to score the links that there are above links drawn at random.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from partner_node.encoders.graph_columns import Matrix
from protocol.draws import draw
from protocol.messages import F64

_HIDDEN: Final = 32
_STEPS: Final = 150
_PAIRS: Final = 8192
_NORM: Final = 1.0
_PROJECTED: Final = 64
_REACHES: Final = (0.0, 1.0, 1.0, 0.5)
"""Weights of what is reached in none, one, two and three steps."""


def fast_projection(sparse: Any, both: Matrix, names: npt.NDArray[Any], seed: int) -> F64:
    """FastRP, shape (n, 64). An end's signs are drawn by its name, so that a new end changes nobody else's."""
    degree = np.asarray(both.sum(axis=1)).ravel()
    reached = signs_of(names, seed) * np.where(degree > 0, np.maximum(degree, 1) ** -0.5, 0)[:, None]
    step = sparse.diags(1 / np.maximum(degree, 1)) @ both
    found = np.zeros_like(reached)
    for weight in _REACHES:
        length = np.linalg.norm(reached, axis=1, keepdims=True)
        found += weight * reached / np.where(length > 0, length, 1)
        reached = step @ reached
    return found


def signs_of(names: npt.NDArray[Any], seed: int) -> F64:
    """Signs by name, shape (n, 64)."""
    digests = b"".join(hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest() for name in names)
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8)).reshape(len(names), _PROJECTED)
    return bits.astype(np.float64) * 2 - 1


def build(torch: Any, inputs: int) -> Any:
    """The two layers: what an end itself has, and what the mean of its neighbours has."""
    nn = torch.nn
    sizes = {"first": (inputs, _HIDDEN), "second": (_HIDDEN, _HIDDEN)}
    layers = {f"{k}_{part}": nn.Linear(*size) for k, size in sizes.items() for part in ("own", "near")}
    return nn.ModuleDict(layers)


def forward(torch: Any, network: Any, inputs: Any, mean: Any) -> Any:
    """Vectors of length 1, shape (n, 32). mean: a sparse tensor that takes the mean over the neighbours."""
    first = torch.relu(network["first_own"](inputs) + network["first_near"](torch.sparse.mm(mean, inputs)))
    second = network["second_own"](first) + network["second_near"](torch.sparse.mm(mean, first))
    return torch.nn.functional.normalize(second, dim=1)


def train(torch: Any, inputs: Any, mean: Any, links: npt.NDArray[np.int64], seed: int) -> Any:
    """The trained network. links: pairs of ends, shape (links, 2)."""
    torch.manual_seed(seed)
    network = build(torch, inputs.shape[1])
    scale = torch.nn.Parameter(torch.tensor(3.0))
    parameters = [*network.parameters(), scale]
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    for step in range(_STEPS):
        drawn = draw(seed, "links", step)
        pairs = links[drawn.integers(0, len(links), min(_PAIRS, len(links)))]
        others = drawn.integers(0, inputs.shape[0], len(pairs))
        optimiser.zero_grad()
        vectors = forward(torch, network, inputs, mean)
        left = vectors[torch.from_numpy(pairs[:, 0])]
        score = [(left * vectors[torch.from_numpy(ends)]).sum(dim=1) * scale for ends in (pairs[:, 1], others)]
        told = torch.cat([torch.ones(len(pairs)), torch.zeros(len(pairs))])
        torch.nn.functional.binary_cross_entropy_with_logits(torch.cat(score), told).backward()
        torch.nn.utils.clip_grad_norm_(parameters, _NORM)
        optimiser.step()
    return network.eval()


def mean_of_neighbours(torch: Any, both: Matrix) -> Any:
    """A sparse tensor, rows of sum 1."""
    links = both.tocoo()
    degree = np.maximum(np.asarray(both.sum(axis=1)).ravel(), 1)
    places = torch.from_numpy(np.stack((links.row, links.col)).astype(np.int64))
    values = torch.from_numpy((links.data / degree[links.row]).astype(np.float32))
    return torch.sparse_coo_tensor(places, values, both.shape, check_invariants=True).coalesce()


def weights_of(network: Any) -> Mapping[str, npt.NDArray[Any]]:
    """Arrays by name."""
    return {name: values.detach().cpu().numpy() for name, values in network.state_dict().items()}
