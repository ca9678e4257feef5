"""`bank-node refit` on a finished run: a report like a training's, and no message to anybody."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from bank_node.report.document import json_schema
from experiments.run.run import run
from tests.e2e.commands import call, refused
from tests.e2e.scored import trained_scores
from tests.e2e.tables import scenario
from tests.e2e.test_scoring import quiet, score

PARAMS = {"n_estimators": 40, "max_depth": 3, "max_bin": 8, "discovery": "4x2"}
MODELS = [{"kind": "boosting", "params": PARAMS}, {"kind": "glm", "params": {"max_iter": 6}}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of trees and a regression."""
    folder = tmp_path_factory.mktemp("refit")
    contract = {"max_information_share": 0.5, "min_glm_columns": 1}
    path = scenario(folder, models=MODELS, contract=contract)
    run(path, folder / "out", fresh=False, progress=quiet, overrides={"transport": "in-process"})
    return folder / "out"


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def ledgers(out: Path) -> dict[str, bytes]:
    """What each party's ledger and budgets hold, to the byte."""
    files = [*out.glob("nodes/*/state/ledger.sqlite"), *out.glob("nodes/*/state/budgets.sqlite")]
    assert len(files) >= 3
    return {str(path): path.read_bytes() for path in files}


def test_a_run_tells_discovery_and_refit_apart(finished):
    rungs = {(r["name"], r["model"]): r for r in report(finished)["rungs"]}
    alone, both = rungs["bank", "boosting"], rungs["all", "boosting"]
    assert alone["discovery"] == {"rounds": 0, "trees": 0, "queries": 0}
    assert both["refit"] == {"trees": 40}
    assert rungs["all", "glm"]["discovery"] is None
    first = rungs["bank+telecom", "boosting"]["discovery"]
    assert 0 < first["trees"] <= 8
    assert first["rounds"] * 2 == first["trees"]
    leak = rungs["bank+telecom", "boosting"]["leakage"]["telecom"]
    assert leak["queries"] == first["queries"] > 0


def test_a_refit_leaves_a_report_and_asks_nobody(finished, tmp_path):
    before = ledgers(finished)
    out = tmp_path / "refit"
    ended = call("bank_node", "refit", finished, "--params", "n_estimators=25", "max_depth=2", "--out", out)
    assert ended.code == 0, ended.stderr
    assert ended.json["messages"] == 0
    assert ledgers(finished) == before, "no message left any party, and no budget was touched"
    found = report(out)
    jsonschema.validate(found, json_schema())
    assert [(r["name"], r["model"]) for r in found["rungs"]] == [
        (name, "boosting") for name in ("bank", "bank+telecom", "bank+bureau", "all")
    ]
    assert all(r["refit"] == {"trees": 25} and r["discovery"]["queries"] == 0 for r in found["rungs"])
    assert all(r["disclosure"] == [] for r in found["rungs"])
    assert "nobody" in found["notes"][0]["en"] or "No message" in found["notes"][0]["en"]


def test_a_refit_with_the_same_parameters_is_the_same_model(finished, tmp_path):
    ended = call("bank_node", "refit", finished, "--out", tmp_path / "same")
    assert ended.code == 0, ended.stderr
    ours = {r["name"]: r["model_sha256"] for r in report(tmp_path / "same")["rungs"]}
    theirs = {r["name"]: r["model_sha256"] for r in report(finished)["rungs"] if r["model"] == "boosting"}
    assert ours.items() <= theirs.items()


def test_a_refit_model_is_scored_by_the_pools_of_the_run(finished, tmp_path):
    out = tmp_path / "refit"
    assert call("bank_node", "refit", finished, "--params", "n_estimators=15", "--out", out).code == 0
    for name in ("nodes", "job.toml"):
        source = finished / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, out / name)
    scored = score(out, "all", out / "nodes/bank/data.parquet")
    assert dict(zip((i.decode() for i in scored.ids), scored.score.tolist(), strict=True)) == trained_scores(out, "all")


def test_a_search_is_marked_optimistic(finished, tmp_path):
    ended = call("bank_node", "refit", finished, "--params", "n_estimators=10", "--search", "--out", tmp_path / "found")
    assert ended.code == 0, ended.stderr
    assert ended.json["optimistic"] is True
    trials = ended.json["search"]
    assert trials[0]["share"] == 1.0
    assert trials[0]["loss"] == min(trial["loss"] for trial in trials if trial["share"] == 1.0)
    assert all("n_estimators" not in trial["changes"] for trial in trials), "what is given is not searched"
    trees = {r["refit"]["trees"] for r in report(tmp_path / "found")["rungs"]}
    assert trees == {10}


def test_what_cannot_be_refitted_is_said(finished, tmp_path):
    out = tmp_path / "out"
    refused(call("bank_node", "refit", tmp_path, "--out", out), 2, "refit.json")
    refused(call("bank_node", "refit", finished, "--params", "max_bin=16", "--out", out), 2, "max_bin")
    refused(call("bank_node", "refit", finished, "--params", "max_dept=3", "--out", out), 2, "max_dept", "max_depth")
    refused(call("bank_node", "refit", finished, "--params", "many", "--out", out), 2, "KEY=VALUE")
    assert not out.exists()
    gone = tmp_path / "gone"
    shutil.copytree(finished, gone)
    for path in gone.glob("nodes/bank/state/known/*"):
        path.unlink()
    refused(call("bank_node", "refit", gone, "--out", out), 3, "revealed")
