"""A sweep over a Ray cluster, started on this machine: the same results as on workers."""

from pathlib import Path

from experiments.sweeps.plan import load_sweep
from experiments.sweeps.sweep import Manner, sweep
from tests.experiments.test_sweep import _sweep


def test_runs_on_a_cluster_find_what_runs_on_workers_find(tmp_path: Path) -> None:
    plan = load_sweep(_sweep(tmp_path, grid={"contract": {"max_equations_share": [0.0, 1.0]}}))
    spread = sweep(plan, tmp_path / "spread", Manner(ray="local"))
    local = sweep(plan, tmp_path / "local", Manner(workers=1))
    assert [run.state for run in spread.runs] == [run.state for run in local.runs] == ["failed", "done"]
    assert spread.runs[1].rungs == local.runs[1].rungs
    assert spread.runs[0].error == local.runs[0].error
    assert [run.begun for run in spread.runs] == [1, 1]
