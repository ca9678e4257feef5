"""`fedwarn run --transport flower` as a user runs it, and how it ends when it is stopped."""

import json
import signal

import pytest

from experiments.verify.verify import verify
from tests.e2e.commands import end, of_session, start, wait_for
from tests.e2e.tables import scenario


def test_a_run_leaves_a_report_that_verifies_and_nothing_running(tmp_path):
    out = tmp_path / "out"
    process = start("experiments", "run", scenario(tmp_path), "--out", out, "--transport", "flower", "--quiet")
    process.wait(200)
    wait_for(lambda: not of_session(process.pid), 20)  # a worker of Ray ends a moment later
    done = end(process)
    assert done.code == 0, done.stderr
    assert done.stderr == "", "Flower and Ray say nothing in a quiet run"
    assert verify(out) == []
    assert len(json.loads((out / "report.json").read_text())["rungs"]) == 5


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_ends_soon_and_leaves_nothing_running(tmp_path, signal_number, code):
    out = tmp_path / "out"
    job = scenario(tmp_path, models=[{"kind": "boosting", "params": {"n_estimators": 300, "max_bin": 8}}])
    process = start("experiments", "run", job, "--out", out, "--transport", "flower", "--json", "--partner-env", "none")
    wait_for(lambda: bool(list(out.glob("nodes/*/state/alignments/*.npz"))) or process.poll() is not None)
    process.send_signal(signal_number)
    process.wait(40)
    wait_for(lambda: not of_session(process.pid), 40)
    assert end(process).code == code
