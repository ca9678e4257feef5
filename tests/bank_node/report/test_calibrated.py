"""Calibration in the report: judged on the test rows, fitted on the validation rows, said where there are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from bank_node.metrics.intervals import wilson
from bank_node.models.calibration import pd_of
from bank_node.record.facts import RunFacts, read_facts
from bank_node.report.calibrated import FIGURES, MAPS
from bank_node.report.document import Report
from bank_node.report.report import read_run, write_report
from tests.bank_node.report.simulated import simulate_run


def test_every_rung_but_the_placebo_is_judged_by_every_map(run: Path, report: Report) -> None:
    scored = read_run(run, read_facts(run))[0]
    for rung in report.rungs:
        found = rung.calibration
        if rung.placebo:
            assert found is None
            continue
        assert found
        assert found.rows == report.data.validation
        assert tuple(found.test) == tuple(found.compared) == MAPS
        losses = {name: figures["logloss"] for name, figures in found.compared.items() if name != "score"}
        assert found.method == min(losses, key=lambda name: losses[name])
        key = rung.name, rung.model
        pd = pd_of(scored.calibrations[key].chosen, scored.scores[key])
        test = found.test[found.method]
        assert test["brier"].value == pytest.approx(brier_score_loss(scored.label, pd), abs=1e-12)
        assert test["logloss"].value == pytest.approx(log_loss(scored.label, pd), abs=1e-12)
        assert found.test["score"]["brier"].value == pytest.approx(rung.metrics["brier"].value, abs=1e-12)
        for figures in found.test.values():
            assert all(figures[name].low <= figures[name].value <= figures[name].high for name in FIGURES)


def test_a_run_without_validation_says_so(tmp_path: Path) -> None:
    simulate_run(tmp_path, rows=800, bootstrap=20)
    report = write_report(tmp_path)
    assert all(rung.calibration is None for rung in report.rungs)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "this run has no validation part" in page
    assert "reliability" not in page


def test_a_small_validation_part_says_so(tmp_path: Path) -> None:
    facts: RunFacts = simulate_run(tmp_path, rows=1600, bootstrap=20, validation=0.02)
    assert write_report(tmp_path).data.validation
    assert "fewer than 20 goods or 20 bads" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert facts.task == "binary"


def test_declared_weights_count(tmp_path: Path) -> None:
    simulate_run(tmp_path, rows=3000, bootstrap=20, validation=0.4, weight=True)
    write_report(tmp_path)
    rung = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["rungs"][0]
    assert rung["calibration"]["test"]["score"]["brier"]["value"] == pytest.approx(
        rung["metrics"]["brier"]["value"], abs=1e-12
    )


def test_wilson_intervals_by_their_definition() -> None:
    """Both ends are the shares whose score test is just at 5%."""
    for end in wilson(np.array([0.1, 0.0, 0.7]), np.array([40.0, 25.0, 9.0])):
        z = np.abs(np.array([0.1, 0.0, 0.7]) - end) / np.sqrt(end * (1 - end) / np.array([40.0, 25.0, 9.0]) + 1e-300)
        assert z[end > 0] == pytest.approx(1.959964, abs=1e-5)
