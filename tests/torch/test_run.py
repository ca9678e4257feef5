"""A scenario with events, from its file to a report that is verified; and what is found where there is nothing."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from experiments.benchmarks.encoders import benchmark_encoders
from experiments.data.own import SCENARIOS
from tests.e2e.commands import call, end, start


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def smaller(folder: Path, name: str, rows: int) -> Path:
    values: dict[str, Any] = tomllib.loads((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8"))
    values["data"]["source"]["rows"] = rows
    values["report"]["bootstrap"] = 50
    for party in values["parties"].values():
        if "encode" in party:
            party["encode"]["columns"] = 4
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["telecom-events", "guarantee-chain"])
def test_a_scenario_runs_to_its_report(name, tmp_path):
    out = tmp_path / "out"
    told = ("--out", out, "--transport", "in-process", "--engine", "plaintext", "--quiet", "--json")
    done = end(start("experiments", "run", smaller(tmp_path, name, 1200), *told), timeout_s=270)
    assert done.code == 0, done.stderr
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    _, hand, learned = report["data"]["parties"]
    assert report["data"]["parties"][learned]["columns"] == 4
    assert report["data"]["parties"][hand]["columns"] > 15
    assert {"bank", f"bank+{hand}", "all", "placebo"} <= {rung["name"] for rung in report["rungs"]}
    assert call("experiments", "verify", out).code == 0


def test_the_benchmark_compares_sets_of_columns_on_the_same_rows():
    name = "guarantee-chain"
    found = benchmark_encoders(rows=1500, seeds=2, trees=10, quiet_rows=1100, quiet_seeds=1, names=(name,))
    table = found["tables"][name]
    assert table["auc"].keys() == {"bank", "aggregates", "learned", "learned alone", "placebo"}
    over = table["learned over aggregates"]
    assert over["value"] == pytest.approx(table["auc"]["learned"] - table["auc"]["aggregates"])
    assert over["low"] < over["value"] < over["high"]
    assert found["ratio"] == found["found_without_signal"][name] <= 1
