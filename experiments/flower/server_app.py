"""The bank as a ServerApp, for `flwr run`: on the simulation engine it runs a scenario from its table to its report,
on the deployment engine it trains a job with the bank's own node.toml. docs/flower.md
"""

from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.app.exception import AppExitException
from flwr.serverapp import ServerApp

from bank_node.report.report import write_report
from experiments.flower.simulation import train_over
from experiments.run.launch import Peaks
from experiments.run.nodes import Nodes
from experiments.run.run import run
from protocol.errors import FedwarnError
from protocol.job import Job
from protocol.node.command import TALK

app = ServerApp()


class Ended(AppExitException):  # type: ignore[misc]
    """A run that ended with an error of ours: Flower shows its sentence in the stream and in `flwr list`."""

    exit_code = 201
    """Flower's, of a ServerApp that has failed: codes below 100 are successes there."""


def main(grid: Any, context: Context) -> None:
    """Run config: `scenario` and `out`, or `job`, `node` and `out`; paths are absolute. Raises: Ended."""
    try:
        _run(grid, context)
    except FedwarnError as error:
        raise Ended(f"{error} (exit code {error.exit_code})") from None


def _run(grid: Any, context: Context) -> None:
    given = {key: Path(str(value)) for key, value in context.run_config.items() if value}
    with TALK.progress() as progress:
        if "scenario" in given:
            overrides = {"transport": "flower"}
            trained = partial(_train, grid)
            run(
                given["scenario"], given["out"],
                fresh=True, progress=progress, overrides=overrides, on_flower=trained,
            )  # fmt: skip
        else:
            train_over(grid, given["job"], given["node"], given["out"], progress)
            write_report(given["out"])


def _train(grid: Any, job: Job, nodes: Nodes, out: Path, progress: Any) -> Peaks:
    """The training of `run`, over this app's grid."""
    train_over(grid, out / "job.toml", nodes.configs[job.bank], out, progress)
    return {}


app.main()(main)
