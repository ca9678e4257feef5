"""From a file of edges to a file of columns: hand columns of the graph, and columns learned without labels.

The graph of a point in time is that of the edges which had begun and not ended; the latest record of an end not after
the point is what is known of it. A learned encoder is fitted on the graph of the first point, unless another date is
given, and then pinned: its inputs' scales, its weights, its components.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from partner_node.encoders.decorrelation import fit_components
from partner_node.encoders.graph_base import EdgeBase, EdgeKeys, Graph, NodeKeys, opened, scipy_for, write_rows
from partner_node.encoders.graph_columns import Matrix, adjacency, hand_columns
from partner_node.encoders.graph_learned import (
    build,
    fast_projection,
    forward,
    mean_of_neighbours,
    train,
    weights_of,
)
from partner_node.encoders.model_folder import Encoder, GraphDescribed, load, save, with_weights
from partner_node.encoders.network import torch_for
from partner_node.encoders.reasons import reasons
from partner_node.encoders.training import CUSTOMERS
from protocol.errors import DataError
from protocol.messages import F64
from protocol.table import Source
from protocol.table.dates import Moments

_PROJECTION: Final = 0.3
"""Of the projected walks beside the network's vectors of length 1."""


@dataclass(frozen=True)
class GraphRequest:
    """One encoding. columns: learned ones. customers: whose rows are written; every end's, without.

    exclude: whether edges that touch others than customers are left out. pairs: only these ids, each at its `point`.
    """

    source: Source
    keys: EdgeKeys
    out: Path
    columns: int
    points: Moments
    seed: int = 7
    nodes: NodeKeys | None = None
    customers: Source | None = None
    exclude: bool = False
    pairs: dict[str, Any] | None = None
    model: Path | None = None
    saved: Path | None = None
    until: np.datetime64 | None = None


def encode_graph(request: GraphRequest, party: str) -> tuple[Encoder[GraphDescribed], int]:
    """Write the columns to `out`, as Parquet; the encoder, and how many rows.

    Raises: UsageError: a file, scipy or torch is missing. DataError: the edges cannot be used. IntegrityError: the
    encoder is not what it was.
    """
    sparse = scipy_for(party)
    pinned = load(request.model, GraphDescribed, party) if request.model else None
    if (pinned.described.learned if pinned else request.columns) > 0:
        torch_for(party)
    request.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with opened(request.source, request.keys, request.nodes, request.customers, request.exclude, party) as edges:
        if pinned and pinned.described.traits != edges.traits:
            thing = (
                f"the encoder was fitted with {list(pinned.described.traits)} of the ends, found {list(edges.traits)}"
            )
            raise DataError(party, thing, "give the same columns")
        until = request.until if request.until is not None else request.points.min()
        encoder = pinned or _fit(sparse, edges, until, request)
        if request.saved and not pinned:
            save(encoder, request.saved)
        graphs = ((point, edges.at(point)) for point in np.unique(request.points))
        rows = [
            (point, *_rows(sparse, graph, encoder, point, request.pairs, party))
            for point, graph in graphs
            if len(graph)
        ]
    if not rows:
        raise DataError(party, "no edge had begun by the points asked for", "give a later --as-of")
    dated = len(rows) > 1 or request.pairs is not None
    return encoder, write_rows(request.keys, rows, request.points, dated, encoder.sha256, request.out, party)


def _rows(
    sparse: Any, graph: Graph, encoder: Encoder[GraphDescribed], point: np.datetime64, pairs: dict[str, Any] | None,
    party: str,
) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:  # fmt: skip
    """Ids and columns of those who are asked for at a point."""
    columns: dict[str, npt.NDArray[Any]] = dict(hand_columns(sparse, graph))
    if encoder.components is not None:
        both = _both(sparse, graph)
        network = _network(encoder, party)
        values = encoder.components(_vectors(sparse, graph, both, network, encoder.described, columns, party))
        columns |= {name: values[:, k] for k, name in enumerate(encoder.learned_names)}
    chosen = graph.wanted
    if pairs is not None:
        chosen = chosen & np.isin(graph.names, pairs["id0"][pairs["point"].astype("datetime64[us]") == point])
    return graph.names[chosen], {name: np.ascontiguousarray(values[chosen]) for name, values in columns.items()}


def _fit(sparse: Any, edges: EdgeBase, until: np.datetime64, request: GraphRequest) -> Encoder[GraphDescribed]:
    """Raises: DataError: fewer than 1,000 customers have an edge by then."""
    graph = edges.at(until)
    described = GraphDescribed(
        traits=edges.traits, learned=request.columns, seed=request.seed, fitted_until=str(until)[:10],
        customers=int(graph.wanted.sum()),
    )  # fmt: skip
    if not request.columns:
        return Encoder(described)
    linked = np.zeros(len(graph), dtype=bool)
    linked[np.concatenate((graph.first, graph.second))] = True
    known = int((graph.wanted & linked).sum())
    if known < CUSTOMERS:
        thing = f"{known} customers have an edge at {str(until)[:10]}, and a fit needs at least {CUSTOMERS:,}"
        raise DataError(edges.party, thing, "give a later --fit-until, or ask for --columns 0")
    columns = hand_columns(sparse, graph)
    described = described.model_copy(update={"inputs": _scales(columns)})
    torch, both = torch_for(edges.party), _both(sparse, graph)
    inputs = _inputs(sparse, graph, both, described, columns)
    links = np.stack((graph.first, graph.second), axis=1)
    network = train(torch, torch.from_numpy(inputs), mean_of_neighbours(torch, both), links, request.seed)
    vectors = _vectors(sparse, graph, both, network, described, columns, edges.party)
    components = fit_components(vectors[graph.wanted], request.columns)
    by_hand = np.stack(list(columns.values()), axis=1)[graph.wanted]
    named = reasons(components(vectors[graph.wanted]), by_hand, list(columns))
    update = {"learned": components.turned.shape[1], "reasons": tuple(tuple(found) for found in named)}
    return with_weights(described.model_copy(update=update), weights_of(network), components)


def _both(sparse: Any, graph: Graph) -> Matrix:
    """Whether two ends are linked, either way."""
    plain = adjacency(sparse, graph, False)
    return ((plain + plain.T) > 0).astype(np.float64)


def _scales(columns: Mapping[str, F64]) -> tuple[tuple[str, float, float], ...]:
    """Middle and spread of each column's asinh, which draws far values in."""
    drawn = {name: np.arcsinh(values[~np.isnan(values)]) for name, values in columns.items()}
    known = {name: values for name, values in drawn.items() if len(values)}
    return tuple((name, float(np.mean(v)), float(np.std(v)) or 1.0) for name, v in known.items())


def _inputs(
    sparse: Any, graph: Graph, both: Matrix, described: GraphDescribed, columns: Mapping[str, F64]
) -> npt.NDArray[np.float32]:
    """Of the network: hand columns by the pinned scales, 0 where there is no value, and the projected walks."""
    scaled = [np.nan_to_num((np.arcsinh(columns[n]) - middle) / spread) for n, middle, spread in described.inputs]
    walks = fast_projection(sparse, both, graph.names, described.seed)
    return np.concatenate((np.clip(np.stack(scaled, axis=1), -5, 5), walks), axis=1).astype(np.float32)


def _vectors(
    sparse: Any, graph: Graph, both: Matrix, network: Any, described: GraphDescribed, columns: Mapping[str, F64],
    party: str,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """The network's vectors and the projected walks, side by side."""
    torch, inputs = torch_for(party), _inputs(sparse, graph, both, described, columns)
    with torch.no_grad():
        learned = forward(torch, network, torch.from_numpy(inputs), mean_of_neighbours(torch, both)).numpy()
    walks = inputs[:, len(described.inputs) :]
    return np.concatenate((learned, _PROJECTION * walks), axis=1).astype(np.float64)


def _network(encoder: Encoder[GraphDescribed], party: str) -> Any:
    torch = torch_for(party)
    network = build(torch, encoder.weights["first_own.weight"].shape[1])
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in encoder.weights.items()})
    return network.eval()
