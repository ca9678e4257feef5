"""Whole runs of a linear model: one job is one model, whatever carries and encrypts it."""

import csv
import json
from itertools import count
from math import log2
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bank_node.families.catalogue import load_model
from bank_node.families.export import exported
from bank_node.linear.steps import Steps
from experiments.run.run import run as run_here
from experiments.verify.check import CHECKS, check_glm
from experiments.verify.verify import verify
from protocol.ledger import read_ledger
from tests.e2e.commands import call, edit
from tests.e2e.scored import scored, trained_scores
from tests.e2e.tables import scenario
from tests.e2e.test_runs import run

MODELS = [{"kind": "glm", "params": {"max_bin": 4, "min_iv": 0.0}}]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One job between processes under encryption, and in one process in clear."""
    folder = tmp_path_factory.mktemp("linear")
    contract = {"min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 2, "score_releases": 200}
    job = scenario(folder, models=MODELS, contract=contract, report={"bootstrap": 20})
    out = {"blind": folder / "blind", "plaintext": folder / "plaintext"}
    run(job, out["blind"], "--transport", "processes")
    run(job, out["plaintext"], "--transport", "in-process", "--engine", "plaintext")
    return out


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_engines_and_transports_agree(runs):
    found = {key: [rung["model_sha256"] for rung in _report(out)["rungs"]] for key, out in runs.items()}
    assert found["blind"] == found["plaintext"]
    assert len(set(found["blind"])) == len(found["blind"]) == 5
    assert (runs["blind"] / "scores.csv").read_bytes() == (runs["plaintext"] / "scores.csv").read_bytes()


def test_every_figure_follows_from_the_scores(runs):
    for out in runs.values():
        assert verify(out) == []


def test_sums_are_encrypted_and_partial_scores_are_told_as_they_are(runs):
    for engine, out in runs.items():
        told = {d["kind"]: d["encrypted"] for rung in _report(out)["rungs"] for d in rung["disclosure"]}
        assert told["glm.query"] == (engine == "blind")
        assert not told["glm.coefficients"]
        assert not told["glm.design"]


def test_the_report_names_the_ring_of_whole_numbers(runs):
    assert _report(runs["plaintext"])["security"]["linear"] is None
    linear = _report(runs["blind"])["security"]["linear"]
    assert (linear["log2_q"], linear["ring"], linear["classical_bits"]) == (208, 8192, 132.1)
    largest = 3 * 600 * 2.0**24 + 6 * 600 * 2.0**48  # three columns and their products, over 600 rows
    assert linear["statistical_bits_answer"] == pytest.approx(129 - 0.5 * log2(4.562 * 10.5 * largest), abs=0.2)
    page = (runs["blind"] / "report.html").read_text(encoding="utf-8")
    assert "ring dimension 8192" in page
    assert "环维数 8192" in page


@pytest.mark.parametrize("rung", ["bank", "bank+telecom", "all"])
def test_rows_get_the_scores_of_their_training_and_an_absent_partner_counts_as_holding_none(runs, tmp_path, rung):
    out, data = runs["blind"], tmp_path / "rows.parquet"
    duckdb.sql(f"COPY (SELECT * EXCLUDE (bad) FROM '{runs['blind']}/nodes/bank/data.parquet') TO '{data}'")
    trained = trained_scores(out, rung)
    assert scored(out, rung, data, set()) == trained
    if rung == "bank":
        return
    with (out / "absences.csv").open() as file:
        absent = {
            row["id"]: float(row["score"])
            for row in csv.DictReader(file)
            if (row["rung"], row["without"]) == (rung, "telecom")
        }
    alone = scored(out, rung, data, {"telecom"})
    assert {name: alone[name] for name in absent} == absent
    assert absent != {name: trained[name] for name in absent}


def test_new_categories_and_gaps_at_scoring_are_missing(runs, tmp_path):
    data = tmp_path / "odd.csv"
    data.write_text("id,own a,own b\nN1,,\nN2,1.5,9e9\nC00001,-3,\n")
    found = scored(runs["blind"], "all", data, set())
    assert found.keys() == {"N1", "N2", "C00001"}
    assert all(0 < score < 1 for score in found.values())


def test_the_model_folder_is_shown_and_exported(runs):
    folder = runs["blind"] / "models/all/glm"
    shown = call("bank_node", "model", "show", str(folder), "--json")
    said = json.loads(shown.stdout.splitlines()[-1])
    assert said["kind"] == "glm"
    assert {term["party"] for term in said["terms"]} == {"bank", "telecom", "bureau"}
    document = exported(load_model(folder))
    json.dumps(document)
    assert document["intercept"] == said["intercept"]
    assert len(document["own_terms"]) + len(document["partner_terms"]) == len(said["terms"])


def test_coefficients_stand_in_the_report_with_what_is_known_of_them(runs):
    rungs = {rung["name"]: rung["linear"] for rung in _report(runs["blind"])["rungs"]}
    assert [rungs[name]["joint"] for name in ("bank", "bank+telecom", "all")] == [True, True, False]
    assert all(term["p"] is None for term in rungs["all"]["terms"])
    assert all(0 <= term["p"] <= 1 for term in rungs["bank+telecom"]["terms"] if not term["collinear"])
    assert {test["party"] for test in rungs["all"]["tests"]} == {"telecom", "bureau"}
    assert all(0 <= test["p"] <= 1 for rung in rungs.values() for test in rung["tests"])
    leaks = [rung["leakage"]["telecom"] for rung in _report(runs["blind"])["rungs"] if "telecom" in rung["leakage"]]
    assert all(leak["releases"] > 0 and 0 <= leak["told_rows"] <= 1 for leak in leaks)
    page = (runs["blind"] / "report.html").read_text()
    assert "Likelihood-ratio test" in page
    assert "似然比检验" in page


def test_check_refits_without_rounding_and_agrees_with_statsmodels(runs):
    found = CHECKS["glm"](runs["plaintext"], lambda *_: None)
    assert found["max_abs_coef"] < 1e-4
    assert found["max_abs_p"] < 5e-4
    assert found["iterations"] <= 12
    assert found["reference"].startswith("statsmodels")


def test_an_interrupted_fit_goes_on_to_the_same_model(runs, tmp_path, monkeypatch):
    """Broken off in the third rung; the second time its first steps are taken from the journal."""
    whole, steps = Steps.next, count()

    def broken_off(fit, *arguments):
        if next(steps) == 14:
            raise RuntimeError("broken off")
        return whole(fit, *arguments)

    def go_on() -> None:
        settings = {"transport": "in-process", "engine": "plaintext"}
        job = runs["plaintext"].parent / "scenario.toml"
        run_here(job, tmp_path / "out", fresh=False, progress=lambda *_: None, overrides=settings)

    monkeypatch.setattr(Steps, "next", broken_off)
    with pytest.raises(RuntimeError, match="broken off"):
        go_on()
    assert not (tmp_path / "out/scores.csv").exists()
    go_on()
    assert next(steps) > 20
    assert (tmp_path / "out/scores.csv").read_bytes() == (runs["plaintext"] / "scores.csv").read_bytes()
    both = tmp_path / "out", runs["plaintext"]
    ledgers = [read_ledger(out / "nodes/telecom/state/ledger.sqlite").summary() for out in both]
    sent = [{row["kind"]: row["count"] for row in rows if row["sender"] == "telecom"} for rows in ledgers]
    assert sent[0]["glm.partial_scores"] == sent[1]["glm.partial_scores"]


def test_coefficients_are_those_of_the_joined_table(runs):
    found = check_glm(runs["plaintext"], lambda *_: None)
    assert found["max_abs_coef"] < 1e-4
    assert found["max_abs_p"] < 1e-3
    assert found["rungs"] == 4


def test_columns_that_were_left_out_are_not_held_against_the_joined_table(tmp_path):
    contract = {"min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 1, "score_releases": 200}
    selection = {"method": "forward", "p_enter": 0.2}
    job = edit(
        scenario(tmp_path, models=MODELS, contract=contract, report={"bootstrap": 20}),
        lambda values: values.update(selection=selection),
    )
    run(job, tmp_path / "out", "--transport", "in-process", "--engine", "plaintext")
    rungs = _report(tmp_path / "out")["rungs"]
    assert any(term["left_out"] for rung in rungs for term in rung["linear"]["terms"])
    found = check_glm(tmp_path / "out", lambda *_: None)
    assert found["max_abs_coef"] < 1e-4
    assert found["max_abs_p"] < 1e-3
