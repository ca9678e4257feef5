"""A sweep over a Ray cluster of this machine: what workers find, whatever is killed, and at once if there is none."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.studies.sweep.folders import RunFolder
from experiments.studies.sweep.on_ray import require_cluster
from experiments.studies.sweep.plan import load_sweep
from experiments.studies.sweep.sweep import Manner, sweep
from protocol.errors import TransportError, UsageError
from tests.e2e.commands import call, start, wait_for
from tests.experiments.studies.test_sweep import _sweep


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a head that was started by `ray start`, with two cores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = ["start", "--head", "--block", "--port", str(port), "--num-cpus", "2", "--include-dashboard=false"]
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *begin]
    head = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port), 120)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(30)


def _answers(port: int) -> bool:
    try:
        require_cluster(f"127.0.0.1:{port}")
    except TransportError:
        return False
    return True


def test_without_a_cluster_it_ends_within_seconds_and_leaves_the_folder_alone(tmp_path: Path) -> None:
    plan, out = load_sweep(_sweep(tmp_path, grid={"seeds": [1]})), tmp_path / "out"
    began = time.monotonic()
    with pytest.raises(TransportError, match="no Ray cluster answers at"):
        sweep(plan, out, Manner(ray="127.0.0.1:9"))
    with pytest.raises(UsageError, match="host:port"):
        sweep(plan, out, Manner(ray="nowhere"))
    assert time.monotonic() - began < 20
    assert not out.exists()


def test_runs_on_a_cluster_find_what_runs_on_workers_find_though_the_sweep_is_killed(
    tmp_path: Path, cluster: str
) -> None:
    file = _sweep(tmp_path, grid={"contract": {"max_equations_share": [0.0, 1.0]}, "seeds": [1, 2, 3]})
    plan, out = load_sweep(file), tmp_path / "spread"
    folders = [RunFolder(out, run.name) for run in plan.runs]
    killed = start("experiments", "sweep", file, "--out", out, "--ray", cluster)
    wait_for(lambda: any(f.state in ("done", "failed") for f in folders), 180)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = call("experiments", "sweep", file, "--out", out, "--ray", cluster, "--resume")
    assert (resumed.code, resumed.json["done"], resumed.json["failed"], resumed.json["run_twice"]) == (5, 3, 3, 0)
    assert sum(f.count("finished") for f in folders) == 3
    spread = sweep(plan, out, Manner(resume=True))
    local = sweep(plan, tmp_path / "local", Manner(workers=1))
    assert [run.state for run in spread.runs] == [run.state for run in local.runs]
    assert [run.rungs for run in spread.runs] == [run.rungs for run in local.runs]
    assert [run.error for run in spread.runs] == [run.error for run in local.runs]
