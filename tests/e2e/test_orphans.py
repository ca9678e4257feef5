"""Nothing goes on that nobody waits for: nodes end with the one that started them, however that one ended."""

import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.commands import ByHand, call, end, healthy, of_session, start, wait_for
from tests.e2e.tables import scenario


@pytest.mark.parametrize("moment", ["nodes/telecom/state/ledger.sqlite", "nodes/bank/state/journals/*/replies"])
def test_a_killed_run_leaves_no_node(tmp_path, moment):
    """At whatever moment it is killed: while its nodes start, or while they train."""
    params = {"n_estimators": 400, "max_depth": 3, "max_bin": 8}
    job, out = scenario(tmp_path, 500, models=[{"kind": "boosting", "params": params}]), tmp_path / "out"
    run = start("experiments", "run", job, "--out", out, "--quiet", "--json")
    try:
        wait_for(lambda: any(path.stat().st_size for path in out.glob(moment)) or run.poll() is not None)
        assert len(of_session(run.pid)) > 1, "no node was running"
        os.kill(run.pid, signal.SIGKILL)
        wait_for(lambda: of_session(run.pid) == [], timeout_s=30)
    finally:
        assert end(run).code == -signal.SIGKILL


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """Node folders of a bank and two partners."""
    folder = tmp_path_factory.mktemp("hand")
    made = call("experiments", "new", "nodes", scenario(folder), "--out", folder / "dealt")
    assert made.code == 0, made
    return ByHand(folder / "dealt", folder / "run")


def test_a_node_ends_though_a_process_in_between_lives(hand):
    """What it waits for is the pipe, not its parent."""
    config = str(hand.node("telecom") / "node.toml")
    serve = [sys.executable, "-m", "partner_node", "serve", "--config", config, "--json"]
    between = "import subprocess, sys; print(subprocess.run(sys.argv[1:]).returncode, flush=True)"
    command = [sys.executable, "-c", between, *serve, "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        wait_for(lambda: healthy(hand.health) or parent.poll() is not None)
        assert parent.poll() is None
        stdout, _ = parent.communicate(timeout=30)  # closes the pipe, and waits
    assert stdout.splitlines() == ['{"stopped": "telecom"}', "0"]
