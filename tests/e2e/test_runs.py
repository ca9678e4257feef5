"""Whole runs: one job is one model, whatever carries and encrypts it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.verify.verify import verify
from tests.e2e.tables import scenario


def fedwarn(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "experiments", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def run(job: Path, out: Path, *options: str) -> dict[str, Any]:
    """A finished run's report."""
    done = fedwarn("run", job, "--out", out, "--quiet", "--json", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["report"] == str(out / "report.json")
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """One job on both engines over both transports: trees that are all encrypted, and discovery with a local fit."""
    folder = tmp_path_factory.mktemp("runs")
    discovered = {"n_estimators": 35, "max_depth": 3, "max_bin": 8, "discovery": "3x2"}
    encrypted = {"n_estimators": 3, "max_depth": 3, "max_bin": 8}
    job = scenario(folder, models=[{"kind": "boosting", "params": params} for params in (encrypted, discovered)])
    out = {}
    for engine in ("blind", "plaintext"):
        for transport in ("in-process", "processes"):
            out[engine, transport] = folder / f"{engine}-{transport}"
            run(job, out[engine, transport], "--engine", engine, "--transport", transport)
    return out


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_engines_and_transports_agree(runs):
    models = {key: [r["model_sha256"] for r in report_of(out)["rungs"]] for key, out in runs.items()}
    scores = {key: (out / "scores.csv").read_bytes() for key, out in runs.items()}
    first = ("blind", "in-process")
    assert len(set(models[first])) == len(models[first]) == 9
    for key in runs:
        assert models[key] == models[first], key
        assert scores[key] == scores[first], key


def test_every_figure_of_every_run_follows_from_its_scores(runs):
    for out in runs.values():
        assert verify(out) == []


def test_the_page_says_what_is_not_encrypted(runs):
    for (engine, _), out in runs.items():
        page = (out / "report.html").read_text()
        assert ("NOT ENCRYPTED" in page) == (engine == "plaintext")
        assert "SYNTHETIC" in page.upper()
        clear = [
            d for rung in report_of(out)["rungs"] for d in rung["disclosure"] if d["kind"] == "boosting.sums_query"
        ]
        assert clear
        assert all(d["encrypted"] == (engine == "blind") for d in clear)


def test_two_runs_of_one_job_differ_only_in_what_is_measured(runs, tmp_path):
    job = runs["blind", "in-process"].parent / "scenario.toml"
    again = run(job, tmp_path / "again", "--transport", "in-process")
    before = report_of(runs["blind", "in-process"])
    for report in (again, before):
        del report["measured"]
    assert again == before


def test_compare_puts_runs_side_by_side(runs):
    done = fedwarn("compare", *runs.values(), "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])["runs"]) == 4


def test_a_changed_score_is_found(runs, tmp_path):
    copy = tmp_path / "changed"
    shutil.copytree(runs["blind", "processes"], copy)
    text = (copy / "scores.csv").read_text().splitlines()
    line = next(k for k, row in enumerate(text) if ",test," in row)
    row = text[line].split(",")
    text[line] = ",".join([*row[:5], "0.987", *row[6:]])
    (copy / "scores.csv").write_text("\n".join(text) + "\n")
    done = fedwarn("verify", copy)
    assert done.returncode == 7
    assert "Traceback" not in done.stderr


def test_alignment_settings_do_not_change_the_model(tmp_path):
    models = []
    for alignment, split_rows in (("one-sided", "all"), ("shared", "all"), ("shared", "node")):
        folder = tmp_path / f"{alignment}-{split_rows}"
        folder.mkdir()
        quiet = {"histogram_noise": 0.0, "min_rows_per_bin": 5, "max_information_share": 1.0}
        job = scenario(folder, run={"alignment": alignment, "split_rows": split_rows}, contract=quiet)
        models.append([rung["model_sha256"] for rung in run(job, folder / "out", "--transport", "in-process")["rungs"]])
    assert models[0] == models[1] == models[2]
