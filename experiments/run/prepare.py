"""A run's folder before the run: dealt tables, node folders, demonstration identities, the job file."""

import shutil
from contextlib import suppress
from pathlib import Path

from experiments.run.deal import Dealt, deal
from experiments.run.nodes import Nodes, approve_at, write_nodes
from protocol.errors import UsageError
from protocol.files import own_folder, write_whole
from protocol.identity import create_demo_identities
from protocol.job import Job, names_budgets

_PARTS = ("nodes", "ca", "models", "receipts", "logs", "value")
_FILES = (
    "job.toml",
    "dealt.json",
    "scores.csv",
    "absences.csv",
    "folds.csv",
    "segments.csv",
    "watchlist.csv",
    "facts.json",
    "report.json",
    "report.html",
)


def prepare(out: Path, fresh: bool) -> None:
    """An empty folder for a run. Raises: UsageError: there is a run in it, and it is not to be replaced."""
    if fresh:
        _clear(out)
    if any((out / part).exists() for part in (*_PARTS, *_FILES)):
        raise UsageError("fedwarn", f"the folder {out.name} holds a run", "name another folder, or give --fresh")
    out.mkdir(parents=True, exist_ok=True)


def _clear(out: Path) -> None:
    """Take a run out of its folder, and nothing else."""
    for part in _PARTS:
        shutil.rmtree(out / part, ignore_errors=True)
    for name in _FILES:
        (out / name).unlink(missing_ok=True)


def write_demo(job: Job, scenario: Path, out: Path) -> Nodes:
    """Everything that each party would bring, made in one place, for a demonstration."""
    return write_parties(job, scenario, out)[1]


def write_parties(job: Job, scenario: Path, out: Path) -> tuple[Dealt, Nodes]:
    """Deal the table, write node.toml, data and identity a party, and the job, and approve it at every partner.

    If that fails, nothing is left.

    Raises: UsageError, DataError.
    """
    try:
        return _write_parties(job, scenario, out)
    except BaseException:
        _clear(out)
        with suppress(OSError):  # what else is in it is not ours
            out.rmdir()
        raise


def _write_parties(job: Job, scenario: Path, out: Path) -> tuple[Dealt, Nodes]:
    dealt = deal(job, out)
    nodes = write_nodes_of(job, scenario, dealt)
    folders = {party: own_folder(config.parent / "identity") for party, config in nodes.configs.items()}
    create_demo_identities(own_folder(out / "ca"), folders)
    write_whole(out / "job.toml", scenario.read_bytes())
    approve_at(nodes, job)
    return dealt, nodes


def write_nodes_of(job: Job, scenario: Path, dealt: Dealt) -> Nodes:
    """Every party's node.toml. The equation budget is enforced between parties that bring their own tables, and where
    the scenario names it."""
    return write_nodes(job, dealt, enforce_equations=job.data.source is None or names_budgets(scenario))
