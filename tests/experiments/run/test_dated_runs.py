"""Runs at points in time, two partners: alike on every engine, within what the preview says, and checked in clear."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from experiments.data.companies import write_companies
from experiments.run.run import run
from experiments.verify.check import check_woe
from experiments.verify.verify import verify
from partner_node.config import load_config
from partner_node.preview.preview import preview
from protocol.job import load_job
from protocol.ledger import read_ledger

JOB = {
    "schema": 1,
    "name": "dated",
    "synthetic": True,
    "data": {"source": {"kind": "csv", "path": "t.csv"}, "id": ["company"], "as_of": "as_of", "label": "bad"},
    "parties": {
        "bank": {"columns": ["turnover"]},
        "suppliers": {"columns": ["arrears"], "source": {"kind": "csv", "path": "quarters.csv"}},
        "registry": {"columns": ["headcount", "limit_use"], "coverage": 0.9},
    },
    "contract": {"max_information_share": 1.0},  # one column
    "split": {"kind": "time", "test": 0.25, "validation": 0.2, "embargo": 10, "in_time": 0.1},
    "models": [
        {
            "kind": "boosting",
            "params": {"n_estimators": 6, "max_depth": 2, "max_bin": 8, "early_stopping_rounds": 2},
        }
    ],
    "report": {"bootstrap": 20, "bin_tables": True},
}


def finished(folder: Path, engine: str, alignment: str, split_rows: str) -> dict[str, Any]:
    """The report of a run in this process, checked against its scores."""
    settings = {"engine": engine, "alignment": alignment, "split_rows": split_rows, "transport": "in-process"}
    path = folder / f"{engine}.toml"
    path.write_text(tomli_w.dumps(JOB | {"run": settings}), encoding="utf-8")
    run(path, folder / engine, fresh=True, progress=lambda *_: None, overrides={})
    report: dict[str, Any] = json.loads((folder / engine / "report.json").read_text(encoding="utf-8"))
    assert verify(folder / engine) == []
    return report


@pytest.fixture(scope="module", params=[("one-sided", "all"), ("shared", "node")], ids=lambda p: p[0])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder, and the reports of both engines."""
    folder = tmp_path_factory.mktemp("dated")
    heading, *lines = write_companies(folder / "t.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    quarters = [line for line in lines if line.split(",")[1][5:7] in ("03", "06", "09")]
    (folder / "quarters.csv").write_text("".join((heading, *quarters)), encoding="utf-8")
    return folder, [finished(folder, engine, *request.param) for engine in ("blind", "plaintext")]


def test_encryption_changes_nothing(runs):
    folder, (blind, plaintext) = runs
    assert [r["model_sha256"] for r in blind["rungs"]] == [r["model_sha256"] for r in plaintext["rungs"]]
    assert (folder / "blind/scores.csv").read_bytes() == (folder / "plaintext/scores.csv").read_bytes()
    assert len({r["model_sha256"] for r in blind["rungs"]}) == len(blind["rungs"])
    assert {"train", "validation", "in_time", "embargo", "test"} <= blind["data"].keys()


@pytest.mark.parametrize("partner", ["suppliers", "registry"])
def test_no_more_leaves_than_was_said(runs, partner):
    folder, reports = runs
    node = folder / "blind/nodes" / partner
    found = preview(load_config(node / "node.toml"), load_job(folder / "blind/job.toml"), None)
    said = {m.kind: m for m in found.leaving}
    assert found.bank_rows >= reports[0]["data"]["parties"][partner]["matched"], "of dated rows an id has several"
    sent = [row for row in read_ledger(node / "state/ledger.sqlite").summary() if row["sender"] == partner]
    assert len(sent) > 8
    for row in sent:
        assert row["count"] <= said[row["kind"]].count, row["kind"]
        assert row["bytes"] <= said[row["kind"]].bytes, row["kind"]


def test_counts_a_bin_are_those_of_the_records_of_their_time(runs):
    folder, _ = runs
    assert check_woe(folder / "blind", lambda *_: None) == {"max_abs_iv": 0.0, "columns": 3}
