"""`partner-node approve`: a person's decision on a job, by its file or by its digest."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from partner_node.policy.policy import Approval, Approvals
from protocol.errors import UsageError
from protocol.job import Job, load_job
from protocol.job.workload import workload

_DIGEST: Final = re.compile("[0-9a-f]{64}")


def decide(approvals: Approvals, party: str, job: str, withdraw: bool) -> None:
    """Approve a job, or take that back. job: a digest, or the path of a job file; with the file the node can hold the
    bank to what it plans. Raises: UsageError: it is neither, or the job does not have this partner.
    """
    if _DIGEST.fullmatch(job):
        approvals.withdraw(job) if withdraw else approvals.approve(job)
        return
    work = job_with(party, Path(job))
    if withdraw:
        approvals.withdraw(work.sha256)
    else:
        approvals.approve(work.sha256, work.name, workload(work, party))


def job_with(party: str, path: Path) -> Job:
    """A job file that has this party as a partner. Raises: UsageError."""
    job = load_job(path)
    if party not in job.partners:
        raise UsageError(
            party, f"is no partner in {path.name}", f"partners there are {', '.join(job.partners)}: compare the names"
        )
    return job


def approvals_table(known: list[Approval]) -> Table:
    """For people."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("job", "name", "state", "since", "checked against its file"):
        table.add_column(name, no_wrap=name == "job")
    for a in known:
        since = {"approved": a.approved, "withdrawn": a.withdrawn, "held": a.asked}[a.state]
        table.add_row(a.job, a.name, a.state, since, "yes" if a.workload else "no")
    return table


def as_row(approval: Approval) -> dict[str, Any]:
    """For --json."""
    row: dict[str, Any] = msgspec.to_builtins(approval)
    return row
