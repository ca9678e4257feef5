"""Segments in the report: within each group the figures of its rows alone; how the alerts of all rows fall on it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bank_node.metrics.intervals import Metric, wilson
from bank_node.metrics.segments import difference_of
from bank_node.report.document import Report
from bank_node.report.report import write_report
from experiments.verify.verify import verify
from tests.bank_node.report.simulated import simulate_run, simulate_segments


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A run with segments, and its report."""
    folder = tmp_path_factory.mktemp("segments")
    simulate_run(folder, rows=5000, bootstrap=50)
    simulate_segments(folder)
    return folder, write_report(folder)


def rows_of(folder: Path, rung: str, column: str, value: str) -> list[dict[str, str]]:
    with (folder / "segments.csv").open(encoding="utf-8") as file:
        ids = {r["id"] for r in csv.DictReader(file) if (r["segment"], r["value"]) == (column, value)}
    with (folder / "scores.csv").open(encoding="utf-8") as file:
        return [r for r in csv.DictReader(file) if r["rung"] == rung and r["id"] in ids]


def test_groups_have_the_figures_of_their_own_rows(cut: tuple[Path, Report]) -> None:
    folder, report = cut
    assert verify(folder) == []
    for rung in (rung for rung in report.rungs if not rung.placebo):
        assert list(rung.segments) == ["age", "region"]
        assert [g.value for g in rung.segments["age"]] == ["x < 30", "30 ≤ x < 45", "x ≥ 45"]
        for column, groups in rung.segments.items():
            assert sum(group.rows for group in groups) == report.data.test
            for group in (g for g in groups if g.metrics):
                rows = rows_of(folder, rung.name, column, group.value)
                label, score = ([float(r[name]) for r in rows] for name in ("label", "score"))
                assert (group.rows, group.bads) == (len(rows), sum(label))
                assert group.metrics["auc"].value == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_small_groups_are_counted_and_not_judged(cut: tuple[Path, Report]) -> None:
    groups = {g.value: g for g in cut[1].rungs[0].segments["region"]}
    assert groups["islands"].rows > 0
    assert groups["islands"].metrics == groups["islands"].uplift == {}
    assert groups["north"].uplift["auc"].value == 0.0  # the base against itself


def test_alerts_add_up_and_differences_are_of_the_rates(cut: tuple[Path, Report]) -> None:
    report = cut[1]
    full = next(rung for rung in report.rungs if rung.name == "all")
    for groups in full.segments.values():
        alerts = sum(g.rows * g.alerted.selection.value for g in groups if g.alerted and g.alerted.selection)
        assert alerts == pytest.approx(int(0.05 * report.data.test + 1e-9))
        for group in groups:
            a = group.alerted
            assert a
            assert a.selection
            assert a.selection_difference
            others = [g for g in groups if g is not group]
            total = sum(g.rows for g in others)
            rest = sum(g.rows * g.alerted.selection.value for g in others if g.alerted and g.alerted.selection) / total
            assert a.selection_difference.value == pytest.approx(a.selection.value - rest, abs=1e-12)
            assert a.selection_difference.low <= a.selection_difference.value <= a.selection_difference.high


def test_newcombes_interval_is_the_published_one() -> None:
    """56 of 70 against 48 of 80: 0.2, from 0.0524 to 0.3339 (Newcombe 1998, table II, method 10, case a)."""
    rates = [56 / 70, 48 / 80]
    low, high = wilson(np.array(rates), np.array([70.0, 80.0]))
    here, there = (Metric(value=rates[k], low=low[k], high=high[k], method="") for k in (0, 1))
    found = difference_of(here, there)
    assert found
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)


@pytest.mark.parametrize("weight", [False, True])
def test_runs_with_and_without_weights_verify(tmp_path: Path, weight: bool) -> None:
    simulate_run(tmp_path, rows=2500, bootstrap=20, weight=weight)
    simulate_segments(tmp_path)
    write_report(tmp_path)
    assert verify(tmp_path) == []


def test_a_group_that_is_told_wrong_is_found(cut: tuple[Path, Report], tmp_path: Path) -> None:
    for name in ("scores.csv", "segments.csv", "facts.json"):
        (tmp_path / name).write_bytes((cut[0] / name).read_bytes())
    text = (cut[0] / "report.json").read_text(encoding="utf-8")
    at = text.index('"value": "north"')
    (tmp_path / "report.json").write_text(text[:at] + text[at:].replace('"bads": ', '"bads": 1', 1), encoding="utf-8")
    found = verify(tmp_path)
    assert any("other figures for segment region 'north' of rung 'bank'" in line for line in found)


def test_the_page_shows_them_in_both_languages(cut: tuple[Path, Report]) -> None:
    page = (cut[0] / "report.html").read_text(encoding="utf-8")
    assert "Against all others" in page
    assert "与其余客户之差" in page
