"""Columns learned from a graph: the same bytes for one seed, nothing of the future, pinned, and groups told apart."""

import numpy as np
import pytest

from experiments.data.generators import GENERATORS
from partner_node.encoders.encode_graph import GraphRequest, encode_graph
from partner_node.encoders.graph_base import EdgeKeys, NodeKeys
from partner_node.encoders.model_folder import EventsDescribed, load
from protocol.errors import DataError, UsageError
from protocol.table import Source
from tests.partner_node.encoders.event_tables import rows_of
from tests.partner_node.encoders.graph_tables import drawn_edges, graph_request, written

AS_OF = "2023-12-31"


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    path = written(folder / "edges.parquet", drawn_edges(1500, 6000))
    encode_graph(graph_request(path, folder / "first.parquet", AS_OF, 8, saved=folder / "first"), "register")
    return folder


def test_one_seed_gives_the_same_bytes_and_another_seed_others(first, tmp_path):
    for name, seed in (("again", 7), ("other", 8)):
        asked = graph_request(
            first / "edges.parquet", tmp_path / f"{name}.parquet", AS_OF, 8, seed=seed, saved=tmp_path / name
        )
        encode_graph(asked, "register")
    weights = "weights.safetensors"
    assert (tmp_path / "again.parquet").read_bytes() == (first / "first.parquet").read_bytes()
    assert (tmp_path / "again" / weights).read_bytes() == (first / "first" / weights).read_bytes()
    assert (tmp_path / "other" / weights).read_bytes() != (first / "first" / weights).read_bytes()


def test_edges_of_the_future_change_no_byte(first, tmp_path):
    known, future = drawn_edges(1500, 6000), drawn_edges(1500, 3000, seed=9)
    future["since"] = future["since"] + np.timedelta64(400, "D")
    both = {name: np.concatenate((known[name], future[name])) for name in known}
    path = written(tmp_path / "planted.parquet", both)
    encode_graph(graph_request(path, tmp_path / "out.parquet", AS_OF, 8, saved=tmp_path / "encoder"), "register")
    assert (tmp_path / "out.parquet").read_bytes() == (first / "first.parquet").read_bytes()


def test_the_next_month_is_encoded_with_the_pinned_weights(first, tmp_path):
    edges = first / "edges.parquet"
    pinned = graph_request(edges, tmp_path / "june.parquet", "2023-06-30", model=first / "first")
    encoder, _ = encode_graph(pinned, "register")
    assert encoder.described.fitted_until == AS_OF
    encode_graph(graph_request(edges, tmp_path / "again.parquet", AS_OF, model=first / "first"), "register")
    assert (tmp_path / "again.parquet").read_bytes() == (first / "first.parquet").read_bytes()


def test_an_encoder_of_graphs_is_not_one_of_events(first, tmp_path):
    with pytest.raises(UsageError, match="not one of events"):
        load(first / "first", EventsDescribed, "register")


def test_a_group_lies_together(first):
    """Neighbours are nearer to each other than ends drawn at random: links were learned."""
    rows = rows_of(first / "first.parquet")
    values = np.array([[row[f"learned {k}"] for k in range(1, 9)] for row in rows])
    group = np.array([int(row["id"][1:]) // 10 for row in rows])
    apart = np.linalg.norm(values[:-1] - values[1:], axis=1)
    same = group[:-1] == group[1:]
    shuffled = np.linalg.norm(values - values[np.random.default_rng(1).permutation(len(values))], axis=1)
    assert apart[same].mean() < 0.75 * shuffled.mean()


def test_few_ends_are_not_fitted_on(tmp_path):
    path = written(tmp_path / "few.parquet", drawn_edges(900, 4000))
    with pytest.raises(DataError, match="needs at least 1,000"):
        encode_graph(graph_request(path, tmp_path / "out.parquet", AS_OF, 4), "register")


def _told_apart(values, linked, random):
    """How often a linked pair is nearer than a pair drawn at random, by columns in 16 bins."""
    cuts = np.linspace(0, 1, 17)[1:-1]
    bins = np.stack([np.searchsorted(np.nanquantile(c, cuts), np.nan_to_num(c)) for c in values.T], axis=1)
    near, far = (np.abs(bins[pairs[:, 0]] - bins[pairs[:, 1]]).sum(axis=1) for pairs in (linked, random))
    return float(np.mean(near[:, None] < far[None, :2000]) + np.mean(near[:, None] == far[None, :2000]) / 2)


def test_columns_by_hand_hardly_tell_who_is_linked_and_learned_ones_do(tmp_path):
    """Why `encode-graph` learns none unless it is asked: the control is what the learned ones tell."""
    made = GENERATORS["guarantee-chain"]
    paths = {part: written(tmp_path / part, getattr(made, part)(2000, 7)) for part in ("edges", "nodes")}
    keys = EdgeKeys("guarantor", "borrower", "since", "amount")
    nodes = NodeKeys(Source(kind="parquet", path=paths["nodes"]), "id", "recorded")
    points = np.array(["2024-06-30"], dtype="datetime64[us]")
    out = tmp_path / "out.parquet"
    encode_graph(
        GraphRequest(Source(kind="parquet", path=paths["edges"]), keys, out, 8, points, nodes=nodes), "register"
    )
    rows = rows_of(out)
    place = {row["id"]: k for k, row in enumerate(rows)}
    edges = made.edges(2000, 7)
    linked = np.array([(place[a], place[b]) for a, b in zip(edges["guarantor"], edges["borrower"], strict=True)])
    random = np.random.default_rng(1).integers(0, len(rows), linked.shape)
    told = {}
    for kind in (True, False):
        names = [name for name in rows[0] if name != "id" and name.startswith("learned") == kind]
        told[kind] = _told_apart(np.array([[row[n] for n in names] for row in rows], dtype=float), linked, random)
    assert told[False] < 0.65
    assert told[True] > 0.85
