"""A run that was not finished goes on by the same line, to the same end."""

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from experiments.run.resume import DEALT_FILE
from tests.e2e.commands import Ended, call, edit, end, half_written, refused, start, wait_for
from tests.e2e.tables import scenario


def run(folder: Path, out: Path, *options: str) -> Ended:
    """Run the folder's scenario."""
    return call("experiments", "run", folder / "scenario.toml", "--out", out, *options)


def queries(out: Path) -> int:
    """How many sums queries the partner has received in its life."""
    base = sqlite3.connect(out / "nodes" / "telecom" / "state" / "ledger.sqlite")
    where = "direction = 'received' AND kind = 'boosting.sums_query'"
    (count,) = base.execute(f"SELECT COUNT(*) FROM entries WHERE {where}").fetchone()
    base.close()
    return int(count)


def report_of(out: Path) -> dict[str, Any]:
    """A report, but for what is measured, and for the messages sent: a run that goes on greets its partners again."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    del report["measured"]
    for rung in report["rungs"]:
        del rung["disclosure"]
    return report


@pytest.fixture(params=[{"n_estimators": 24, "discovery": "all"}, {"n_estimators": 60, "discovery": "8x3"}], ids=str)
def interrupted(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of a run that was ended in the middle of its training; with discovery, in the middle of a round."""
    params = {"max_depth": 3, "max_bin": 8, **request.param}
    models, contract = [{"kind": "boosting", "params": params}], {"max_information_share": 0.8}
    job, out = scenario(tmp_path, 500, models=models, contract=contract), tmp_path / "out"
    edit(job, lambda values: values["parties"].pop("bureau"))
    process = start("experiments", "run", job, "--out", out, "--quiet", "--json")
    replies = "nodes/bank/state/journals/*/replies"
    enough = 20_000 if request.param["discovery"] == "all" else 6_000
    wait_for(lambda: sum(p.stat().st_size for p in out.glob(replies)) > enough or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 130
    assert half_written(out) == []
    assert (out / DEALT_FILE).is_file()
    return out


def test_it_goes_on_where_it_stopped(interrupted, tmp_path):
    asked_before = queries(interrupted)
    assert asked_before
    again = run(tmp_path, interrupted)
    assert (again.code, again.left) == (0, []), again
    assert not (interrupted / DEALT_FILE).exists()
    whole = run(tmp_path, tmp_path / "whole")
    assert whole.code == 0, whole
    assert report_of(interrupted) == report_of(tmp_path / "whole")
    assert (interrupted / "scores.csv").read_bytes() == (tmp_path / "whole" / "scores.csv").read_bytes()
    assert queries(interrupted) <= queries(tmp_path / "whole") + 1, "it asked anew for what the journal holds"


def test_another_job_does_not_go_on_in_its_folder(interrupted, tmp_path):
    edit(tmp_path / "scenario.toml", lambda values: values.update(name="another"))
    refused(run(tmp_path, interrupted), 2, "out holds an unfinished run of another job", "--fresh")
    assert (interrupted / DEALT_FILE).is_file()


def test_a_finished_run_is_not_gone_on_with(tmp_path):
    scenario(tmp_path)
    out = tmp_path / "out"
    assert run(tmp_path, out, "--transport", "in-process").code == 0
    refused(run(tmp_path, out, "--transport", "in-process"), 2, "out holds a run", "--fresh")
