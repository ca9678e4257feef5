"""Runs spread over a Ray cluster: a task a run. All machines see the sweep's folder and the tables by the same paths.

Ray comes with the extra `flower`. What runs is what runs here; a machine that dies takes its runs with it, which
are begun and not done, and a resumed sweep goes on with them.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]

from experiments.studies.sweep.folders import RunFolder
from experiments.studies.sweep.local import Told
from protocol.errors import TransportError, UsageError
from protocol.transport.address import parse_address

_PATIENCE_S: Final = 5.0


def require_cluster(address: str) -> None:
    """Ray itself asks an address in vain for more than a minute: see first that something answers by gRPC, as it does.

    Raises: UsageError: there is no Ray, or the address is none. TransportError: nothing answers there.
    """
    if find_spec("ray") is None:
        raise UsageError("sweep", "Ray is not installed", "install the extra flower, or leave --ray out")
    if address in ("local", "auto"):
        return
    place = parse_address("sweep", address.removeprefix("ray://"))
    if os.environ.get("RAY_USE_TLS") == "1":  # with certificates of its own
        return
    with grpc.insecure_channel(str(place)) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_PATIENCE_S)
        except grpc.FutureTimeoutError:
            raise _nothing_at(address) from None


def run_on_ray(sweep: Path, names: Sequence[str], pages: bool, address: str, told: Told) -> None:
    """Run these as the cluster has room for. Raises: TransportError: no cluster answers."""
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
    from experiments.studies.sweep.one_run import run_one

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
    """Ray, connected; it is told not to report its use to anybody before it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    except (ConnectionError, RuntimeError, ValueError):
        raise _nothing_at(address) from None
    return ray


def _nothing_at(address: str) -> TransportError:
    return TransportError("sweep", f"no Ray cluster answers at {address}", "correct --ray, or start the cluster")
