"""Tables of edges for tests."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from partner_node.encoders.encode_graph import GraphRequest
from partner_node.encoders.graph_base import EdgeKeys, NodeKeys
from partner_node.encoders.keys import points_of
from protocol.draws import draw
from protocol.table import Source

KEYS = EdgeKeys("giver", "taker", "since", "amount", "ended")


def written(path: Path, columns: dict[str, Any]) -> Path:
    with duckdb.connect() as base:
        base.register("given", columns)
        base.execute(f"COPY given TO '{path}' (FORMAT parquet)")
    return path


def edges(*rows: tuple[str, str, str, float, str]) -> dict[str, Any]:
    """From, to, since, amount, ended ("" while it lasts)."""
    giver, taker, since, amount, ended = zip(*rows, strict=True)
    return {
        "giver": np.array(giver, dtype=object),
        "taker": np.array(taker, dtype=object),
        "since": np.array(since, dtype="datetime64[s]"),
        "amount": np.array(amount, dtype=float),
        "ended": np.array([day or "NaT" for day in ended], dtype="datetime64[s]"),
    }


def drawn_edges(ends: int, count: int, seed: int = 1) -> dict[str, Any]:
    """Links drawn within groups of ten, over the year 2023."""
    drawn = draw(seed, "edges")
    first = drawn.integers(0, ends, count)
    second = np.minimum(first // 10 * 10 + drawn.integers(0, 10, count), ends - 1)
    days = drawn.integers(0, 365, count)
    rows = [
        (f"E{a:05d}", f"E{b:05d}", str(np.datetime64("2023-01-01") + int(d)), float(w), "")
        for a, b, d, w in zip(first.tolist(), second.tolist(), days, drawn.integers(1, 9, count), strict=True)
    ]
    return edges(*rows)


def graph_request(
    path: Path, out: Path, as_of: str, columns: int = 0, nodes: Path | None = None, **more: Any
) -> GraphRequest:
    known = NodeKeys(Source(kind="parquet", path=nodes), "id", "day") if nodes else None
    return GraphRequest(
        Source(kind="parquet", path=path), KEYS, out, columns, points_of(as_of, "p"), nodes=known, **more
    )
