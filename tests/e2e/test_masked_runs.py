"""Whole runs of a linear model whose partners share one order of rows, and hide their scores in the sum."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from experiments.verify.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.preview.preview import preview
from protocol.errors import RefusedError, UsageError
from protocol.job import load_job
from protocol.ledger import read_ledger
from tests.e2e.scored import scored, trained_scores
from tests.e2e.tables import scenario
from tests.e2e.test_runs import run

MODELS = [{"kind": "glm", "params": {"max_bin": 4, "min_iv": 0.0}}]
CONTRACT = {"min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 2, "score_releases": 200}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One job with masks, between processes, and without, in one process."""
    folder, out = tmp_path_factory.mktemp("masked"), {}
    more = {"run": {"alignment": "shared"}, "report": {"bootstrap": 20}, "split": {"validation": 0.2}}
    more["bands"] = {"rule": "capacity", "red": 0.05, "amber": 0.1}
    for name, masked in (("masked", True), ("clear", False)):
        (folder / name).mkdir()
        job = scenario(folder / name, models=MODELS, contract={**CONTRACT, "masked_scores": masked}, **more)
        out[name] = folder / f"{name}-run"
        how = "processes" if masked else "in-process"
        run(job, out[name], "--transport", how, "--engine", "plaintext")
    return out


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_models_and_scores_are_the_same_to_the_last_bit(runs):
    models = [[rung["model_sha256"] for rung in _report(out)["rungs"]] for out in runs.values()]
    assert models[0] == models[1]
    assert len(set(models[0])) == 5
    assert (runs["masked"] / "scores.csv").read_bytes() == (runs["clear"] / "scores.csv").read_bytes()
    assert verify(runs["masked"]) == []
    assert verify(runs["clear"]) == []


def _sent(out: Path) -> dict[str, int]:
    rows = read_ledger(out / "nodes/telecom/state/ledger.sqlite").summary()
    return {row["kind"]: row["count"] for row in rows if row["sender"] == "telecom"}


def test_scores_leave_singly_in_the_rung_of_one_partner_alone(runs):
    masked, clear = _sent(runs["masked"]), _sent(runs["clear"])
    rungs = {rung["name"]: rung for rung in _report(runs["masked"])["rungs"]}
    alone = [rung["leakage"]["telecom"] for rung in rungs.values() if rung["parties"] == ["bank", "telecom"]]
    assert [leak["summed"] for leak in alone] == [0, rungs["all"]["leakage"]["telecom"]["summed"]]  # and the placebo
    assert masked["glm.partial_scores"] == alone[1]["releases"] - alone[1]["summed"]
    assert masked["masks.key"] == masked["masks.agreed"] == 1
    assert masked["glm.partial_scores"] + masked["glm.masked_scores"] == clear["glm.partial_scores"]
    assert not any(kind.startswith("masks") for kind in clear)
    told = {row["kind"]: row for rung in rungs.values() for row in rung["disclosure"]}
    assert told["glm.masked_scores"]["encrypted"]
    assert "cancel in the sum" in told["glm.masked_scores"]["content"]


def test_what_left_is_what_the_preview_said(runs):
    config = load_partner(runs["masked"] / "nodes/telecom/node.toml")
    bounds = {one.kind: one for one in preview(config, load_job(runs["masked"] / "job.toml"), 600).leaving}
    rows = read_ledger(runs["masked"] / "nodes/telecom/state/ledger.sqlite").summary()
    sent = [row for row in rows if row["sender"] == "telecom"]
    assert all(row["count"] <= bounds[row["kind"]].count and row["bytes"] <= bounds[row["kind"]].bytes for row in sent)


def test_rows_told_are_those_that_the_sum_tells(runs):
    found = {
        name: {r["name"]: r["leakage"]["telecom"] for r in _report(out)["rungs"] if "telecom" in r["leakage"]}
        for name, out in runs.items()
    }
    assert found["masked"]["bank+telecom"] == found["clear"]["bank+telecom"]
    full = {name: rungs["all"] for name, rungs in found.items()}
    assert full["masked"]["summed"] > 0
    assert full["clear"]["summed"] == 0
    assert (
        full["masked"]["releases"] >= full["clear"]["releases"]
    )  # of other coefficients, or beside others' other ones


def test_absences_and_reasons_are_of_what_the_bank_knows(runs):
    with (runs["masked"] / "absences.csv").open() as file:
        absent = {(row["rung"], row["without"]) for row in csv.DictReader(file)}
    assert absent == {("bank+telecom", "telecom"), ("bank+bureau", "bureau")}
    with (runs["masked"] / "watchlist.csv").open() as file:
        reasons = " ".join(row["reasons"] for row in csv.DictReader(file))
    assert "bureau + telecom" in reasons
    page = (runs["masked"] / "report.html").read_text(encoding="utf-8")
    clear = (runs["clear"] / "report.html").read_text(encoding="utf-8")
    assert [text in page for text in ("the bank saw the sum of the partners", "The bank saw each partner")] == [1, 0]
    assert [text in clear for text in ("the bank saw the sum of the partners", "The bank saw each partner")] == [0, 1]


def _score(out: Path, rung: str, folder: Path, absent: frozenset[str] = frozenset()) -> dict[str, float]:
    data = folder / "rows.parquet"
    duckdb.sql(f"COPY (SELECT * EXCLUDE (bad) FROM '{out}/nodes/bank/data.parquet') TO '{data}'")
    return scored(out, rung, data, absent)


def test_rows_are_scored_under_masks_and_with_all_partners_or_none(runs, tmp_path):
    trained = trained_scores(runs["masked"], "all")
    assert _score(runs["masked"], "all", tmp_path) == trained
    assert _sent(runs["masked"])["glm.masked_term_scores"] == 1
    assert "glm.scores" not in _sent(runs["masked"])
    with pytest.raises(UsageError, match="the sum of their scores alone, and it takes telecom"):
        _score(runs["masked"], "all", tmp_path, frozenset({"telecom"}))
    assert len(_score(runs["masked"], "all", tmp_path, frozenset({"telecom", "bureau"}))) == len(trained)
    assert len(_score(runs["masked"], "bank+bureau", tmp_path)) == len(trained)


def test_a_partner_refuses_to_score_singly_what_it_keeps_masked(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("bank_node.models.folder.ModelFolder.masked", property(lambda _: False))
    with pytest.raises(RefusedError, match=r"in the sum of all the model's partners alone.*masked_scores"):
        _score(runs["masked"], "all", tmp_path)
