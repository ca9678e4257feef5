"""The frontier: every knob at its values and as the scenario has it, and that a tight budget reveals less."""

import csv
from pathlib import Path

import pytest

from experiments.studies.sweep.frontier import frontier
from experiments.studies.sweep.knobs import KNOBS
from experiments.studies.sweep.sweep import Manner
from protocol.errors import UsageError
from tests.e2e.tables import scenario


def test_knobs_are_turned_one_at_a_time_and_a_tight_budget_reveals_less(tmp_path: Path) -> None:
    path, out = scenario(tmp_path, rows=400), tmp_path / "out"
    found = frontier(path, out, ["columns", "split_rows"], 3, "plaintext", Manner(workers=2))
    assert [(p.knob, p.value) for p in found.points] == [
        ("columns", "0.25"), ("columns", "0.5"), ("columns", "1"), ("split_rows", "all"), ("split_rows", "node"),
    ]  # fmt: skip
    assert found.result.count("done") == len(found.result.runs) == 4  # the scenario as it stands is run once
    assert found.points[2].run == found.points[3].run
    assert all(0 < p.information_share <= 0.35 and p.low <= p.uplift <= p.high for p in found.points)
    rows = list(csv.DictReader((out / "frontier.csv").open(encoding="utf-8")))
    assert [float(row["information_share"]) for row in rows] == [p.information_share for p in found.points]
    assert (out / "index.html").is_file()
    tight = frontier(path, tmp_path / "tight", ["budget"], 1, "plaintext", Manner(workers=2))
    assert len(tight.points) == len(KNOBS["budget"])
    shares = {p.value: p.information_share for p in tight.points}
    assert all(share <= float(budget) for budget, share in shares.items())
    assert shares["0.02"] < shares["1"]


def test_an_unknown_knob_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="depht"):
        frontier(scenario(tmp_path, rows=30), tmp_path / "out", ["depht"], 0, "plaintext", Manner())
