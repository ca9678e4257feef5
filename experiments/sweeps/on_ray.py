"""Runs spread over a Ray cluster: a task a run. All machines see the sweep's folder and the tables by the same paths.

Ray comes with the extra `flower`. What runs is what runs here; a machine that dies takes its runs with it, which
are begun and not done, and a resumed sweep goes on with them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.sweeps.folders import RunFolder
from experiments.sweeps.local import Told
from protocol.errors import TransportError, UsageError


def run_on_ray(sweep: Path, names: Sequence[str], pages: bool, address: str, told: Told) -> None:
    """Run these as the cluster has room for. Raises: UsageError: there is no Ray, or no cluster at the address."""
    ray = _ray(address)
    try:
        task = ray.remote(num_cpus=1, max_retries=0)(_run_one)
        waiting = {task.remote(str(sweep.resolve()), name, pages): name for name in names}
        for name in names:
            told(name, "sent", None)
        while waiting:
            for done in ray.wait(list(waiting), num_returns=1)[0]:
                name = waiting.pop(done)
                error = _outcome(ray, done, sweep, name)
                told(name, "failed" if error else "done", error)
    finally:
        ray.shutdown()


def _run_one(sweep: str, name: str, pages: bool) -> dict[str, Any] | None:
    from experiments.sweeps.one_run import run_one

    return run_one(Path(sweep), name, pages, lambda *_: None)


def _outcome(ray: Any, done: Any, sweep: Path, name: str) -> dict[str, Any] | None:
    try:
        error: dict[str, Any] | None = ray.get(done)
    except ray.exceptions.RayError as failed:
        remedy = "look at the cluster's machines, and retry it with --retry-failed"
        error = {"party": "ray", "thing": f"the task of this run was lost ({type(failed).__name__})", "remedy": remedy,
                 "exit_code": TransportError.exit_code}  # fmt: skip
        RunFolder(sweep, name).fail(error)
    return error


def _ray(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError("sweep", "Ray is not installed", "install the extra flower, or leave --ray out") from None
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError("sweep", f"there is no Ray cluster at {address} ({type(error).__name__})",
                         "correct --ray, or start the cluster") from None  # fmt: skip
    return ray
