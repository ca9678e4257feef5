"""Going on with a run that was not finished: its tables are dealt and its nodes remember what they did."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from experiments.run.deal import Dealt, DealtParty
from experiments.run.nodes import Nodes
from experiments.run.prepare import write_nodes_of
from protocol.errors import UsageError
from protocol.files import own_folder, write_whole
from protocol.identity import create_demo_identities
from protocol.job import Job
from protocol.table import Source

DEALT_FILE: Final = "dealt.json"
"""In the folder of a run from its dealing to its report."""


class _Kept(BaseModel):
    """What was dealt, and of which job."""

    job: str
    dealt: Dealt


def keep(job: Job, scenario: Path, out: Path, dealt: Dealt) -> None:
    """Note that all is dealt, and how."""
    parties = {name: _anywhere(party) for name, party in dealt.parties.items()}
    kept = _Kept(job=_digest(job, scenario), dealt=replace(dealt, parties=parties))
    write_whole(out / DEALT_FILE, kept.model_dump_json().encode())


def finish(out: Path) -> None:
    """The report is written: there is nothing to go on with."""
    (out / DEALT_FILE).unlink(missing_ok=True)


def unfinished(job: Job, scenario: Path, out: Path) -> tuple[Dealt, Nodes] | None:
    """The parties of the unfinished run in a folder, with new ports and identities; None if there is none.

    Raises: UsageError: it is of another job, or its tables have changed.
    """
    if not (out / DEALT_FILE).is_file():
        return None
    kept = _Kept.model_validate_json((out / DEALT_FILE).read_bytes())
    if kept.job != _digest(job, scenario) or not all(p.folder.is_dir() for p in kept.dealt.parties.values()):
        raise UsageError(
            "fedwarn",
            f"the folder {out.name} holds an unfinished run of another job, or of tables that have changed since",
            "run that job to go on with it, name another folder, or give --fresh to replace it",
        )
    nodes = write_nodes_of(job, scenario, kept.dealt)
    identities = {party: config.parent / "identity" for party, config in nodes.configs.items()}
    for folder in (out / "ca", *identities.values()):  # demonstrations last a day
        shutil.rmtree(folder, ignore_errors=True)
    create_demo_identities(own_folder(out / "ca"), identities)
    return kept.dealt, nodes


def _anywhere(party: DealtParty) -> DealtParty:
    """With paths that hold in any working folder."""
    source: Source = party.source.model_copy(update={"path": party.source.path.resolve()})
    return replace(party, folder=party.folder.resolve(), source=source)


def _digest(job: Job, scenario: Path) -> str:
    """Of the scenario, of what the command line changed in it, and of size and time of its tables."""
    sources = [job.data.source, *(party.source for party in job.parties.values())]
    files = [source.path.stat() for source in sources if source and source.path.exists()]
    stamps = [(file.st_size, file.st_mtime_ns) for file in files]
    return hashlib.sha256(repr((scenario.read_bytes(), job.run.model_dump(), stamps)).encode()).hexdigest()
