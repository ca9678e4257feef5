"""The training of a run whose parties' folders are written, on Flower's simulation engine: `fedwarn run` starts it.

Flower and Ray are told not to report their use to anybody, nor to look for newer versions, before they are imported.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # else Ray warns of a change to come

from experiments.flower.simulation import simulate
from protocol.node.command import TALK, app, main

verbs = app("Train a run whose parties' folders are written on Flower's simulation engine.")


@verbs.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="The run's folder, with job.toml in it.")],
    config: Annotated[Path, typer.Option("--config", help="The bank's settings.")],
) -> dict[str, Any]:
    """Train the ladder; the report is written by whoever started it."""
    with TALK.progress() as progress:
        simulate(config, out, progress)
    return {"out": str(out)}


if __name__ == "__main__":
    main(verbs, "fedwarn")
