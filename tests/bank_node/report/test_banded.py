"""Bands in the report: by each rule the test rows fall where the validation rows said; nothing is lost or doubled."""

from pathlib import Path
from typing import Any

import pytest

from bank_node.report.report import write_report
from experiments.verify.verify import verify
from tests.bank_node.report.simulated import simulate_run

CASES: list[dict[str, Any]] = [
    {"rule": "capacity", "red": 0.05, "amber": 0.1},
    {"rule": "expected-loss", "red": 0.3, "amber": 0.3, "lgd": 0.45},
    {"rule": "precision", "red": 0.5, "amber": 0.3},
]


@pytest.mark.parametrize("settings", CASES, ids=lambda case: case["rule"])
def test_bands_hold_what_was_asked_for(tmp_path: Path, settings: dict[str, Any]) -> None:
    rule = settings["rule"]
    simulate_run(
        tmp_path, rows=5000, bootstrap=20, validation=0.5, amount=rule != "capacity", weight=rule == "precision",
        bands=settings,
    )  # fmt: skip
    report = write_report(tmp_path)
    assert verify(tmp_path) == []
    for rung in report.rungs:
        if rung.placebo:
            assert rung.bands is None
            continue
        assert rung.bands
        red, amber, green = rung.bands.bands
        assert red.rows + amber.rows + green.rows == report.data.test
        assert red.share + amber.share + green.share == pytest.approx(1)
        assert (red.amount is None) == (rule == "capacity")
        if rule == "capacity":
            assert red.share == pytest.approx(0.05, abs=0.02)
            assert amber.share == pytest.approx(0.1, abs=0.03)
        if rule == "expected-loss":
            losses = [band.expected_loss or 0 for band in (red, amber, green)]
            assert losses[0] / sum(losses) == pytest.approx(0.3, abs=0.08)
    full = next(rung for rung in report.rungs if rung.name == "all").bands
    assert full
    rates = [band.bad_rate.value for band in full.bands if band.bad_rate]
    assert rates == sorted(rates, reverse=True)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'class="band amber"' in page
    assert ("Lost in fact" in page) == (rule != "capacity")


def test_a_run_without_bands_shows_none(run: Path) -> None:
    assert 'class="band' not in (run / "report.html").read_text(encoding="utf-8")


def test_a_band_that_is_told_wrong_is_found(tmp_path: Path) -> None:
    simulate_run(tmp_path, rows=2000, bootstrap=20, validation=0.5, bands=CASES[0])
    write_report(tmp_path)
    path = tmp_path / "report.json"
    text = path.read_text(encoding="utf-8")
    at = text.index('"name": "amber"')
    path.write_text(text[:at] + text[at:].replace('"rows": ', '"rows": 1', 1), encoding="utf-8")
    found = verify(tmp_path)
    assert len(found) == 2
    assert "other figures for band amber of the model 'boosting' of rung 'bank'" in found[1]
