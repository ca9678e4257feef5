"""The laboratory's verbs that run one scenario many times."""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.sweeps.document import SweepResult
from experiments.sweeps.plan import load_sweep
from experiments.sweeps.sweep import Manner, sweep
from protocol.command import TALK

Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder; what is done stays done.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace what is in the folder.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Go on, and run those that have failed again.")]
Workers = Annotated[int, typer.Option(min=0, help="Runs at a time; 0: one a core.")]
Ray = Annotated[str, typer.Option("--ray", help="Address of a Ray cluster to spread the runs over, or local.")]


def sweep_(
    file: Annotated[Path, typer.Argument(help="A sweep file (docs/experiments.md).")],
    out: Annotated[Path, typer.Option("--out", help="The sweep's folder.")],
    resume: Resume = False,
    retry_failed: Retry = False,
    fresh: Fresh = False,
    workers: Workers = 0,
    ray: Ray = "",
) -> dict[str, Any]:
    """Run a scenario under many settings, and put the results side by side."""
    result = sweep(load_sweep(file), out, Manner(resume, fresh, retry_failed, workers, ray))
    TALK.out.print(_told(result), highlight=False)
    return {
        "sweep": str(out / "sweep.json"),
        "runs": len(result.runs),
        "done": result.count("done"),
        "failed": result.count("failed"),
        "run_twice": result.run_twice,
        "exit_code": next((run.error["exit_code"] for run in result.runs if run.error), 0),
    }


def _told(result: SweepResult) -> str:
    done, failed = result.count("done"), result.count("failed")
    return f"{done} of {len(result.runs)} runs done" + (f", {failed} failed (--retry-failed)" if failed else "")
