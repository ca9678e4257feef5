"""Whole runs of a linear model: one job is one model, whatever carries and encrypts it."""

import json
from math import log2
from pathlib import Path
from typing import Any

import pytest

from experiments.verify import verify
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
