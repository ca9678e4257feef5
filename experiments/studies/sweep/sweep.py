"""`fedwarn sweep`: from a sweep file to the results of all its runs, whatever interrupts it."""

import os
from dataclasses import dataclass
from pathlib import Path

from experiments.pages.render import sweep_page
from experiments.results.spending import announce, rows_of
from experiments.studies.sweep import on_ray
from experiments.studies.sweep.board import Board
from experiments.studies.sweep.document import SweepResult, collect, label_of_run, write_result
from experiments.studies.sweep.folders import RunFolder, clear, the_only_one
from experiments.studies.sweep.local import run_locally
from experiments.studies.sweep.plan import Plan, short_label, value_text, write_scenarios
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Job
from protocol.node.command import TALK

PAGE_FILE = "index.html"


@dataclass(frozen=True)
class Manner:
    """How to go about it.

    resume: go on with what is in the folder. fresh: replace it. retry_failed: run those again, too.
    workers: runs at a time, 0 for as many as there are cores. ray: address of a Ray cluster, "" for this machine.
    """

    resume: bool = False
    fresh: bool = False
    retry_failed: bool = False
    workers: int = 0
    ray: str = ""


def sweep(plan: Plan, out: Path, manner: Manner) -> SweepResult:
    """Run what is not done yet, and write the results.

    Raises: UsageError: the folder holds a sweep, and it is neither to be gone on with nor to be replaced; or a
    setting makes no valid scenario. RefusedError: partners bring their own tables, and it does not fit.
    TransportError: no Ray cluster answers.
    """
    if manner.ray:
        on_ray.require_cluster(manner.ray)
    with the_only_one(out):
        _prepare(out, manner)
        jobs = write_scenarios(plan, out / "scenarios")
        _budget(list(jobs.values()))
        (out / "runs").mkdir(exist_ok=True)
        _run_all(plan, out, manner)
        result = collect(plan, out)
        write_result(result, out)
        write_whole(out / PAGE_FILE, sweep_page(result, plan.pages).encode(), 0o644)
    return result


def _prepare(out: Path, manner: Manner) -> None:
    if manner.fresh:
        clear(out)
    if (out / "runs").is_dir() and not (manner.resume or manner.retry_failed):
        raise UsageError("sweep", f"the folder {out.name} holds a sweep", "give --resume to go on, or --fresh")


def _budget(jobs: list[Job]) -> None:
    """Say what all runs together would spend; partners that bring their own tables are not asked for more."""
    own_tables = any(job.data.source is None for job in jobs)
    announce(jobs, rows_of(jobs[0]), f"the sum of {len(jobs)} runs", enforced=own_tables)


def _run_all(plan: Plan, out: Path, manner: Manner) -> None:
    states = {run.name: RunFolder(out, run.name).state for run in plan.runs}
    wanted = [name for name, state in states.items() if state in ("planned", "begun")]
    if manner.retry_failed:
        wanted += [name for name, state in states.items() if state == "failed"]
    done, begun = (sum(s == state for s in states.values()) for state in ("done", "begun"))
    TALK.say(f"{len(states)} runs: {done} done, {begun} begun, {len(wanted)} to run")
    if not wanted:
        return
    with Board(TALK.err, _labels(plan), {**states, **dict.fromkeys(wanted, "planned")}) as board:
        if manner.ray:
            on_ray.run_on_ray(out, wanted, plan.pages, manner.ray, board)
        else:
            run_locally(out, wanted, plan.pages, manner.workers or os.cpu_count() or 1, board)


def _labels(plan: Plan) -> dict[str, str]:
    names = {path: short_label(path, plan.axes) for path in plan.axes}
    return {
        run.name: label_of_run({names[path]: value_text(value) for path, value in run.settings.items()})
        for run in plan.runs
    }
