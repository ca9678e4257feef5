"""Sweeps: what a file plans, and that a sweep killed at any moment is gone on with, no run twice."""

import csv
import json
import os
import signal
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from experiments.results.spending import require_fit, rows_of, spending
from experiments.run.run import run
from experiments.studies.sweep.document import read_sweep
from experiments.studies.sweep.folders import RunFolder
from experiments.studies.sweep.one_run import run_one
from experiments.studies.sweep.plan import load_sweep, put, write_scenarios
from protocol.errors import RefusedError, UsageError
from protocol.job import load_job
from tests.e2e.commands import call, end, of_session, refused, start, wait_for
from tests.e2e.tables import scenario

QUICK: dict[str, Any] = {
    "run": {"engine": "plaintext", "ladder": [["bank", "telecom"]]},
    "report": {"placebo": False, "bootstrap": 20},
    "models": {"0": {"params": {"n_estimators": 1}}},
}


def _sweep(folder: Path, **keys: Any) -> Path:
    scenario(folder, rows=300)
    path = folder / "sweep.toml"
    values = {"schema": 1, "name": "sweep", "base": "scenario.toml", "pages": False, "set": QUICK, **keys}
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def test_a_grid_has_every_combination_and_each_is_a_scenario(tmp_path: Path) -> None:
    grid = {"seeds": [1, 2], "overlap": [0.5, 0.8], "models": {"*": {"params": {"max_depth": [2, 3]}}}}
    plan = load_sweep(_sweep(tmp_path, grid=grid))
    jobs = write_scenarios(plan, tmp_path / "scenarios")
    found = {
        (job.run.seed, job.split.seed, *(job.parties[p].coverage for p in job.partners), job.models[0].params.max_depth)
        for job in jobs.values()
    }
    assert found == {(s, s, c, c, d) for s in (1, 2) for c in (0.5, 0.8) for d in (2, 3)}
    assert len(jobs) == 8
    assert all(job.run.transport == "in-process" and job.models[0].params.n_estimators == 1 for job in jobs.values())
    assert list(plan.axes) == [("seeds",), ("overlap",), ("models", "*", "params", "max_depth")]


def test_partners_are_kept_by_name_and_runs_are_listed_besides_a_grid(tmp_path: Path) -> None:
    quick = {**QUICK, "run": {"engine": "plaintext"}}
    listed = [{"partners": ["bureau"]}, {"partners": ["telecom", "bureau"], "overlap": 0.7}]
    plan = load_sweep(_sweep(tmp_path, set=quick, runs=listed, grid={"seeds": [3, 4]}))
    jobs = list(write_scenarios(plan, tmp_path / "scenarios").values())
    assert [(job.partners, job.run.seed) for job in jobs] == [
        (("bureau",), 3), (("bureau",), 4), (("telecom", "bureau"), 3), (("telecom", "bureau"), 4),
    ]  # fmt: skip
    assert [job.parties["bureau"].coverage for job in jobs] == [0.9, 0.9, 0.7, 0.7]
    source = jobs[0].data.source
    assert source
    assert source.path == tmp_path / "table.csv"


def test_names_follow_from_the_scenario_alone(tmp_path: Path) -> None:
    one, two = (load_sweep(_sweep(tmp_path, grid={"seeds": seeds})) for seeds in ([1, 2], [2, 3]))
    assert one.runs[1].name == two.runs[0].name
    changed = load_sweep(_sweep(tmp_path, grid={"seeds": [2]}, set={**QUICK, "split": {"test": 0.3}}))
    assert changed.runs[0].name != two.runs[0].name


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"grid": {"split": {"sed": [1]}}}, "sed"),
        ({"grid": {"seeds": 1}}, "seeds"),
        ({"grid": {"partners": [["nobody"]]}}, "nobody"),
        ({"set": {"models": {"7": {"params": {"max_depth": 2}}}}}, "models.7"),
        ({"gird": {}}, "grid"),
        ({"base": "elsewhere.toml"}, "elsewhere.toml"),
    ],
)
def test_what_makes_no_scenario_is_named_before_anything_runs(tmp_path: Path, keys: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        write_scenarios(load_sweep(_sweep(tmp_path, **keys)), tmp_path / "scenarios")


def test_keys_are_set_in_tables_that_are_not_there_yet() -> None:
    values: dict[str, Any] = {"parties": {"bank": {}, "p": {}}}
    put(values, {("contract", "histogram_noise"): 0.0, ("overlap",): 0.4})
    assert values["contract"] == {"histogram_noise": 0.0}
    assert values["parties"]["p"] == {"coverage": 0.4}


def test_seeds_draw_another_sample_of_a_table_that_is_made_up_unless_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    free = {"schema": 1, "name": "seeds", "base": "no-signal", "grid": {"seeds": [1, 2]}}
    held = {**free, "grid": {"seeds": [1, 2], "data": {"source": {"seed": [7]}}}}
    for values, expected in ((free, [1, 2]), (held, [7, 7])):
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
        runs = load_sweep(path).runs
        assert [run.values["data"]["source"]["seed"] for run in runs] == expected
        assert [run.values["split"]["seed"] for run in runs] == [1, 2]


def test_killed_and_resumed_all_24_runs_are_done_and_none_twice(tmp_path: Path) -> None:
    file = _sweep(tmp_path, grid={"seeds": list(range(12)), "overlap": [0.6, 0.9]})
    out = tmp_path / "out"
    folders = [RunFolder(out, planned.name) for planned in load_sweep(file).runs]
    assert len(folders) == 24
    killed = start("experiments", "sweep", file, "--out", out, "--workers", 2)
    wait_for(lambda: sum(f.state == "done" for f in folders) >= 4 and any(f.state == "begun" for f in folders))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    wait_for(lambda: not of_session(killed.pid))  # nothing outlives it
    before = {f.name: f.state for f in folders}
    assert 4 <= list(before.values()).count("done") < 24
    refused(call("experiments", "sweep", file, "--out", out), 2, "--resume")
    resumed = call("experiments", "sweep", file, "--out", out, "--resume", "--workers", 2)
    assert (resumed.code, resumed.left) == (0, []), resumed
    assert {key: resumed.json[key] for key in ("runs", "done", "failed", "run_twice")} == {
        "runs": 24, "done": 24, "failed": 0, "run_twice": 0,
    }  # fmt: skip
    result = read_sweep(out)
    assert all(run.finished == 1 for run in result.runs)
    assert all(run.begun == 1 for run in result.runs if before[run.name] in ("done", "planned"))
    gone_on_with = next((r for r in result.runs if before[r.name] == "begun"), result.runs[0])
    alone = run(out / "scenarios" / f"{gone_on_with.name}.toml", tmp_path / "alone", fresh=True,
                progress=lambda *_: None, overrides={}, page=False)  # fmt: skip
    assert [r.metrics for r in gone_on_with.rungs] == [r.metrics for r in alone.rungs]
    lines = list(csv.DictReader((out / "sweep.csv").open(encoding="utf-8")))
    assert len(lines) == 48
    assert {line["overlap"] for line in lines} == {"0.6", "0.9"}


def test_failures_are_kept_apart_and_can_be_repeated(tmp_path: Path) -> None:
    file = _sweep(tmp_path, grid={"contract": {"max_equations_share": [0.0, 1.0]}})
    out = tmp_path / "out"
    ended = call("experiments", "sweep", file, "--out", out, "--workers", 1)
    assert (ended.code, ended.json["done"], ended.json["failed"]) == (5, 1, 1)
    failed = next(run for run in read_sweep(out).runs if run.state == "failed")
    assert failed.folder.startswith("failed/")
    assert failed.error is not None
    assert "max_equations_share" in failed.error["thing"]
    assert load_job(out / "scenarios" / f"{failed.name}.toml").contract.max_equations_share == 0
    retried = call("experiments", "sweep", file, "--out", out, "--retry-failed")
    assert (retried.code, retried.json["done"]) == (5, 1)
    assert read_sweep(out).runs[0].begun == 2
    assert read_sweep(out).runs[1].begun == 1


def test_a_worker_that_dies_costs_one_run(tmp_path: Path) -> None:
    file, out = _sweep(tmp_path, grid={"seeds": [1, 2]}), tmp_path / "out"
    process = start("experiments", "sweep", file, "--out", out, "--workers", 1, "--json", "--quiet")
    first = RunFolder(out, load_sweep(file).runs[0].name)
    wait_for(lambda: first.state == "begun")
    worker = json.loads((first.path / "attempts.jsonl").read_text().splitlines()[0])["process"]
    os.kill(worker, signal.SIGKILL)
    ended = end(process)
    assert (ended.json["done"], ended.json["failed"]) == (1, 1)
    assert ended.code == 6


def _budgets(folder: Path, own_tables: bool, runs: int) -> tuple[Path, Path]:
    """A sweep whose runs ask a partner for 8 sums each, of the 20 or so that it permits."""
    file = _sweep(folder, grid={"seeds": list(range(runs))}, set={**QUICK, "contract": {"max_equations_share": 0.1}})
    if own_tables:
        base = tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8"))
        source = base["data"].pop("source")
        for party in base["parties"].values():
            party["source"] = source
            party.pop("coverage", None)
            party.pop("strangers", None)
        (folder / "scenario.toml").write_text(tomli_w.dumps(base), encoding="utf-8")
    return file, folder / "out"


def test_partners_with_tables_of_their_own_are_not_asked_for_more_than_one_budget(tmp_path: Path) -> None:
    file, out = _budgets(tmp_path, own_tables=True, runs=3)
    sentence = refused(call("experiments", "sweep", file, "--out", out), 5, "max_equations_share", "sum of 3 runs")
    assert sentence.startswith("telecom")
    assert not (out / "runs").exists()


def test_what_a_sweep_would_spend_is_said_before_it_starts(tmp_path: Path) -> None:
    jobs = list(write_scenarios(load_sweep(_budgets(tmp_path, False, 3)[0]), tmp_path / "scenarios").values())
    assert rows_of(jobs[0]) == 300
    found = spending(jobs, 300)
    sums = 3 * 8  # a tree of depth 3 of one rung
    assert found["telecom"].equations == pytest.approx(sums / int(0.1 * 300 * 0.75 * 0.9))
    assert found["bureau"].equations == 0
    assert 0 < found["telecom"].information <= 1
    require_fit(spending(jobs[:1], 300), "one run")
    with pytest.raises(RefusedError, match="max_equations_share"):
        require_fit(found, "all runs")


def test_a_run_that_a_process_still_has_is_waited_for_and_not_run_again(tmp_path: Path) -> None:
    """As a task of a Ray cluster may, whose sweep was killed."""
    plan = load_sweep(_sweep(tmp_path, grid={"seeds": [1]}))
    write_scenarios(plan, tmp_path / "scenarios")
    folder = RunFolder(tmp_path, plan.runs[0].name)
    with ThreadPoolExecutor(1) as other:
        with folder.held():
            folder.begin()
            second = other.submit(run_one, tmp_path, folder.name, False, lambda *_: None)
            with pytest.raises(TimeoutError):
                second.result(0.3)
            folder.finish(1.0)
        assert second.result(10) is None
    assert (folder.count("begun"), folder.count("finished")) == (1, 1)


def test_without_ray_its_cluster_is_not_looked_for(tmp_path: Path) -> None:
    if find_spec("ray"):
        pytest.skip("Ray is installed")
    file = _sweep(tmp_path, grid={"seeds": [1]})
    sentence = refused(call("experiments", "sweep", file, "--out", tmp_path / "out", "--ray", "local"), 2, "flower")
    assert "Ray is not installed" in sentence
