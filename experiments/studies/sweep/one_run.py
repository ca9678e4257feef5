"""One run of a sweep, wherever it is run: in a worker of this machine, or of a Ray cluster."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.run.run import run as run_scenario
from experiments.studies.sweep.folders import RunFolder
from protocol.errors import FedwarnError
from protocol.files import machine_told

Progress = Callable[[str, int, int], None]
FAILED_LOG = "failed.log"


def run_one(sweep: Path, name: str, pages: bool, progress: Progress) -> dict[str, Any] | None:
    """Run it to its end, or go on with it; what it failed by, or None. It has left its marks when this returns."""
    folder = RunFolder(sweep, name)
    failed = folder.state == "failed"
    with folder.held():
        if folder.state == "done":
            return None
        if folder.state == "failed" and not failed:
            return folder.error
        return _run(folder, pages, progress)


def _run(folder: RunFolder, pages: bool, progress: Progress) -> dict[str, Any] | None:
    folder.begin()
    began = time.monotonic()
    try:
        if not folder.finished:
            with machine_told("fedwarn"):
                fresh = not folder.begun_well
                run_scenario(folder.scenario, folder.path, fresh=fresh, progress=progress, overrides={}, page=pages)
    except FedwarnError as error:
        said = {"party": error.party, "thing": error.thing, "remedy": error.remedy, "exit_code": error.exit_code}
        folder.fail(said)
        return said
    except Exception:
        said = {"party": "fedwarn", "thing": "it failed by a bug of its own", "exit_code": 1,
                "remedy": f"please report it with failed/{folder.name}/{FAILED_LOG}"}  # fmt: skip
        (folder.path / FAILED_LOG).write_text(traceback.format_exc(), encoding="utf-8")
        folder.fail(said)
        return said
    folder.finish(time.monotonic() - began)
    return None
