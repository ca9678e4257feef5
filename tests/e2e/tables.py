"""Small tables and scenarios for whole runs."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import tomli_w


def write_table(path: Path, rows: int, seed: int = 1) -> None:
    """A table of numbers, gaps and categories whose label follows columns of several parties."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": np.array([f"C{k:05}" for k in rng.permutation(rows)], dtype=object)}
    for name in ("own a", "own b", "calls", "towers", "loans", "inquiries"):
        columns[name] = np.round(rng.standard_normal(rows), 2)
    columns["brand"] = np.array([f"brand {k}" for k in rng.integers(0, 6, rows)], dtype=object)
    margin = columns["own a"] + columns["calls"] - columns["loans"] + (columns["brand"] == "brand 3") - 0.7
    columns["bad"] = (rng.random(rows) < 1 / (1 + np.exp(-1.5 * margin))).astype(np.int64)
    columns["towers"][rng.random(rows) < 0.15] = np.nan
    with duckdb.connect() as base:
        base.register("made", columns)
        made = "* REPLACE (CASE WHEN isnan(towers) THEN NULL ELSE towers END AS towers)"
        base.execute(f"COPY (SELECT {made} FROM made) TO '{path}' (HEADER)")


def scenario(folder: Path, rows: int = 600, **sections: dict[str, Any]) -> Path:
    """A scenario of a bank and two partners on a table of its own; `sections` are merged over its own."""
    write_table(folder / "table.csv", rows)
    values: dict[str, Any] = {
        "schema": 1,
        "name": "small",
        "synthetic": True,
        "data": {"source": {"kind": "csv", "path": "table.csv"}, "id": ["id"], "label": "bad"},
        "parties": {
            "bank": {"columns": ["own a", "own b"]},
            "telecom": {"columns": ["calls", "towers", "brand"], "coverage": 0.9, "strangers": 0.1},
            "bureau": {"columns": ["loans", "inquiries"], "coverage": 0.9, "strangers": 0.1},
        },
        "models": [{"kind": "boosting", "params": {"n_estimators": 3, "max_depth": 3, "max_bin": 8}}],
        "report": {"bootstrap": 50},
        "contract": {"min_rows_per_bin": 5, "min_rows_per_node": 20},
    }
    for section, keys in sections.items():
        values[section] = {**values.get(section, {}), **keys} if isinstance(keys, dict) else keys
    path = folder / "scenario.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path
