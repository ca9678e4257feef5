"""Runs over tables that are taken for large: read in batches, stored, hints in parts; and the same models."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from experiments.benchmarks.wide import benchmark_wide
from protocol.he import engines
from protocol.table import loaded
from tests.experiments.run.test_any_table import report_of

ROWS = 400


def _job(folder: Path) -> dict[str, Any]:
    """A partner of 30 columns that are not the bank's."""
    names = [f"p{k}" for k in range(30)]
    listed = ", ".join(f"hash(i * 31 + {k}) % 23 AS {name}" for k, name in enumerate(names))
    label = "((hash(i * 31) % 23 + hash(i * 31 + 1) % 23 + hash(i) % 9) > 30)::INTEGER AS y"
    with duckdb.connect() as base:
        table = f"SELECT 'r' || i AS id, {label}, hash(i) % 9 AS b, {listed} FROM range({ROWS}) r(i)"
        base.execute(f"COPY ({table}) TO '{folder / 'table.parquet'}' (FORMAT parquet)")
    return {
        "data": {"source": {"kind": "parquet", "path": "table.parquet"}, "id": ["id"], "label": "y"},
        "parties": {"bank": {"columns": ["b"]}, "p": {"columns": names, "coverage": 0.9}},
        "contract": {"min_rows_per_bin": 5, "min_rows_per_node": 10},
        "run": {"engine": "blind", "transport": "in-process", "ladder": [["bank", "p"]]},
        "report": {"placebo": False, "bootstrap": 20},
    }


@pytest.mark.parametrize("split_rows", ["all", "node"])
def test_a_large_table_trains_the_model_that_a_small_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split_rows: str
) -> None:
    hashes = []
    for name in ("whole", "parts"):
        folder = tmp_path / name
        folder.mkdir()
        job = _job(folder)
        if split_rows == "node":
            job["run"] |= {"alignment": "shared", "split_rows": "node"}
        if name == "parts":
            monkeypatch.setattr(loaded, "_LARGE", 4 * 16 * ROWS)
            monkeypatch.setattr(engines, "_WHOLE_HINT_BYTES", 1 << 20)
            monkeypatch.setattr(engines, "_ROWS_A_PART", 37)
        report = report_of(folder, **job)
        hashes.append([rung["model_sha256"] for rung in report["rungs"]])
        stored = list((folder / "out").glob("nodes/bank/**/hints/*.rows"))
        assert bool(stored) == (name == "parts")
        hints = [m for r in report["rungs"] for m in r["disclosure"] if m["kind"] == "binning.hint"]
        assert (max(m["count"] for m in hints) > 1) == (name == "parts")
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_columns_stay_below_one_gib_in_every_process() -> None:
    found = benchmark_wide()
    assert set(found["peak_mib"]) == {"bank", "partner1", "partner2"}
    assert max(found["peak_mib"].values()) < 1024
    assert found["hint_s"] > 0
