"""Small jobs for benchmarks: a scenario of given size in a folder of its own."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import tomli_w

from experiments.benchmarks.tree import CSX
from experiments.data import ensure
from protocol.job import Job, load_job
from protocol.settings import parse_toml


def csx_job(folder: Path, rows: int, trees: int) -> tuple[Job, Path]:
    """The main job on the first rows of its table, all parties at once, without placebo."""
    values = parse_toml(CSX)
    source = load_job(CSX).data.source
    assert source
    ensure(source.path)
    with duckdb.connect() as base:
        base.execute("SET preserve_insertion_order = true")
        table = f"SELECT * FROM read_csv('{source.path}', header = true, all_varchar = true) LIMIT {rows}"
        base.execute(f"COPY ({table}) TO '{folder / 'table.csv'}' (HEADER)")
    values["data"]["source"] = {"kind": "csv", "path": "table.csv"}
    values["models"][0]["params"]["n_estimators"] = trees
    values["run"]["ladder"] = [list(values["parties"])]
    return written_job(folder, values)


def random_job(folder: Path, rows: int, partner_columns: int, bins: int, trees: int) -> tuple[Job, Path]:
    """Normal columns, ten at the bank and `partner_columns` at one partner; the label follows the first of each."""
    rng = np.random.default_rng(7)
    names = [f"b{j}" for j in range(10)], [f"p{j}" for j in range(partner_columns)]
    columns: dict[str, Any] = {name: rng.standard_normal(rows) for own in names for name in own}
    columns["y"] = (rng.random(rows) < 1 / (1 + np.exp(2.0 - columns["b0"] - columns["p0"]))).astype(np.int64)
    columns["id"] = np.arange(rows)
    with duckdb.connect() as base:
        base.register("made", columns)
        base.execute(f"COPY (SELECT * FROM made) TO '{folder / 'table.parquet'}' (FORMAT parquet)")
    params = {"n_estimators": trees, "max_depth": 3, "max_bin": bins, "reg_lambda": 5.0}
    values = {
        "schema": 1,
        "name": "benchmark",
        "synthetic": True,
        "data": {"source": {"kind": "parquet", "path": "table.parquet"}, "id": ["id"], "label": "y"},
        "parties": {"bank": {"columns": names[0]}, "partner": {"columns": names[1]}},
        "models": [{"kind": "boosting", "params": params}],
        "run": {"ladder": [["bank", "partner"]]},
    }
    return written_job(folder, values)


def written_job(folder: Path, values: dict[str, Any]) -> tuple[Job, Path]:
    """The job of these values, without placebo, in a scenario file in the folder."""
    values.setdefault("report", {})["placebo"] = False
    path = folder / "scenario.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return load_job(path), path
