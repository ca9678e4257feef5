"""Hand columns of a graph: what they are on graphs small enough to count, as of each point, without strangers."""

import numpy as np
import pytest

from partner_node.encoders.encode_graph import encode_graph
from protocol.errors import DataError
from protocol.table import Source
from tests.e2e.commands import call
from tests.partner_node.encoders.event_tables import rows_of
from tests.partner_node.encoders.graph_tables import drawn_edges, edges, graph_request, written

scipy = pytest.importorskip("scipy")

CHAIN = edges(
    ("a", "b", "2024-01-10", 10, ""),
    ("b", "a", "2024-02-10", 5, ""),
    ("a", "c", "2024-03-01", 30, "2024-05-01"),
    ("d", "b", "2024-03-01", 2, ""),
    ("d", "c", "2024-03-01", 2, ""),
    ("a", "a", "2024-01-01", 99, ""),
)


def encoded(tmp_path, columns, as_of, **more):
    path = written(tmp_path / "edges.parquet", columns)
    encode_graph(graph_request(path, tmp_path / "out.parquet", as_of, **more), "register")
    return {row["id"]: row for row in rows_of(tmp_path / "out.parquet")}


def test_degrees_weights_and_hidden_links_are_those_one_counts(tmp_path):
    rows = encoded(tmp_path, CHAIN, "2024-04-30")
    assert set(rows) == {"a", "b", "c", "d"}
    a = rows["a"]
    assert (a["links out"], a["links in"], a["neighbours"], a["mutual links"]) == (2, 1, 2, 1)
    assert (a["weight out"], a["weight in"]) == (40, 5)
    assert (a["links out new 3m"], a["links out new 12m"]) == (1, 2)
    assert a["neighbours mean neighbours"] == 2
    # a and d have b and c in common and no link; b and c have a and d in common and no link.
    assert [rows[name]["hidden links"] for name in "abcd"] == [1, 1, 1, 1]
    assert a["hidden links most in common"] == 2
    assert a["hidden links closeness"] == pytest.approx(2 / np.log(2))
    assert sum(np.exp(row["pagerank"]) for row in rows.values()) == pytest.approx(4)


def test_a_link_counts_from_its_first_day_to_its_last(tmp_path):
    assert encoded(tmp_path, CHAIN, "2024-02-01").keys() == {"a", "b"}
    assert encoded(tmp_path, CHAIN, "2024-04-30")["a"]["links out"] == 2
    assert encoded(tmp_path, CHAIN, "2024-05-01")["a"]["links out"] == 1


def test_what_is_known_of_neighbours_is_the_latest_record_by_then(tmp_path):
    nodes = {
        "id": np.array(["b", "b", "b", "c"], dtype=object),
        "day": np.array(["2024-01-01", "2024-04-01", "2024-06-01", "2024-01-01"], dtype="datetime64[s]"),
        "claims": np.array([1.0, 3.0, 100.0, 7.0]),
    }
    rows = encoded(tmp_path, CHAIN, "2024-04-30", nodes=written(tmp_path / "nodes.parquet", nodes))
    assert rows["b"]["claims of own"] == 3
    assert rows["a"]["claims of own"] is None
    assert rows["a"]["claims of neighbours"] == 5
    assert rows["a"]["claims of those out"] == pytest.approx((10 * 3 + 30 * 7) / 40)
    assert rows["a"]["claims of those in"] == 3
    assert rows["a"]["claims largest of neighbours"] == 7
    # Two steps from b lies c, by a and by d.
    assert rows["b"]["claims two steps away"] == 7
    assert rows["c"]["claims near by rank"] > rows["a"]["claims near by rank"] > rows["b"]["claims near by rank"]


def test_edges_and_records_of_the_future_change_no_byte(tmp_path):
    known, future = drawn_edges(200, 600), drawn_edges(300, 900, seed=2)
    future["since"] = future["since"] + np.timedelta64(400, "D")
    both = {name: np.concatenate((future[name], known[name])) for name in known}
    ended = both["ended"].copy()
    ended[-600:-300] = np.datetime64("2024-12-31")  # known only later
    for name, columns in (("known", known), ("planted", {**both, "ended": ended})):
        path = written(tmp_path / f"{name}.parquet", columns)
        encode_graph(graph_request(path, tmp_path / f"{name}-out", "2023-12-31"), "register")
    assert (tmp_path / "known-out").read_bytes() == (tmp_path / "planted-out").read_bytes()


def test_strangers_are_left_out_on_request(tmp_path):
    customers = written(tmp_path / "customers.parquet", {"id": np.array(["a", "b", "e"], dtype=object)})
    own = Source(kind="parquet", path=customers)
    met = encoded(tmp_path, CHAIN, "2024-04-30", customers=own)
    assert set(met) == {"a", "b", "e"}
    assert (met["a"]["links out"], met["a"]["hidden links"], met["e"]["links out"]) == (2, 1, 0)
    alone = encoded(tmp_path, CHAIN, "2024-04-30", customers=own, exclude=True)
    assert (alone["a"]["links out"], alone["a"]["hidden links"]) == (1, 0)


def test_several_points_are_rows_of_their_own(tmp_path):
    path = written(tmp_path / "edges.parquet", CHAIN)
    encode_graph(graph_request(path, tmp_path / "out.parquet", "2024-02-01,2024-04-30"), "register")
    found = [(row["id"], str(row["as_of"])[:10], row["links out"]) for row in rows_of(tmp_path / "out.parquet")]
    assert found[:2] == [("a", "2024-02-01", 1), ("a", "2024-04-30", 2)]
    assert len(found) == 6


def test_wrong_edges_are_refused_by_what_is_wrong(tmp_path):
    path = written(tmp_path / "edges.parquet", edges(("a", "b", "2024-01-01", -1, "")))
    with pytest.raises(DataError, match=r"1 edges .* negative"):
        encode_graph(graph_request(path, tmp_path / "out.parquet", "2024-02-01"), "register")
    path = written(tmp_path / "edges.parquet", CHAIN)
    with pytest.raises(DataError, match="no edge had begun"):
        encode_graph(graph_request(path, tmp_path / "out.parquet", "2020-02-01"), "register")


def test_the_command_writes_columns_and_asks_who_is_no_stranger(tmp_path):
    path = written(tmp_path / "edges.parquet", CHAIN)
    told = ("encode-graph", path, "--from", "giver", "--to", "taker", "--time", "since", "--weight", "amount")
    rest = ("--ended", "ended", "--as-of", "2024-04-30", "--out", tmp_path / "out.parquet", "--columns", 0, "--json")
    done = call("partner_node", *told, *rest)
    assert done.code == 0, done.stderr
    assert done.json["rows"] == 4
    lacking = call("partner_node", *told, *rest, "--exclude-strangers")
    assert lacking.code == 2
    assert "--customers" in lacking.json["error"]["remedy"]
