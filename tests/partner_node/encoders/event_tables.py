"""Event tables for tests, drawn by a seed."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from partner_node.encoders.encode import Request
from partner_node.encoders.fitting import Wanted
from partner_node.encoders.keys import EventKeys, points_of
from partner_node.encoders.training import Schedule
from protocol.draws import draw
from protocol.table import Source

KEYS = EventKeys(("customer",), "happened", "what", "money")
FIRST = np.datetime64("2023-01-01T00:00:00", "s")


def drawn_events(customers: int, each: int = 20, seed: int = 1) -> dict[str, Any]:
    """Columns of `customers` x `each` events over two years; type "rare" 20 times, and money missing here and there."""
    rows = draw(seed, "events")
    count = customers * each
    what = np.array(["call", "top-up", "roaming"], dtype=object)[rows.integers(0, 3, count)]
    what[rows.choice(count, min(20, count), replace=False)] = "rare"
    money = np.round(rows.gamma(2.0, 30.0, count), 2)
    money[rows.random(count) < 0.1] = np.nan
    return {
        "customer": np.array([f"C{k:05d}" for k in np.repeat(np.arange(customers), each)], dtype=object),
        "happened": FIRST + rows.integers(0, 730 * 86_400, count).astype("timedelta64[s]"),
        "what": what,
        "money": money,
    }


def written(path: Path, columns: dict[str, Any]) -> Path:
    """The columns as a Parquet file; nan in `money` is no value."""
    with duckdb.connect() as base:
        base.register("given", columns)
        base.execute(f"COPY (SELECT * REPLACE (CASE WHEN isnan(money) THEN NULL ELSE money END AS money) FROM given) "
                     f"TO '{path}' (FORMAT parquet)")  # fmt: skip
    return path


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: np.concatenate((one[name], other[name])) for name in one}


def request(
    events: Path, out: Path, as_of: str, columns: int = 0, seed: int = 7, steps: int = 40, **more: Any
) -> Request:
    """A request with a short training."""
    wanted = Wanted(columns, (1, 3, 6, 12), seed, Schedule(steps=steps))
    return Request(Source(kind="parquet", path=events), KEYS, out, wanted, points_of(as_of, "telecom"), **more)


def rows_of(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as base:
        found = base.sql(f"SELECT * FROM '{path}'")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
