"""What this partner permits before anything is computed: which jobs, each approved by a person if it wants to.

With `[policy] approve = "manual"` nothing but a greeting is answered for a job that has not been approved. An approval
is of a job's digest, and so of everything in the job file but engine, transport and paths. Given with the file, it
holds what the bank then declares to what that file says.
"""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from protocol.contract import refuse
from protocol.errors import UsageError
from protocol.job.workload import Workload
from protocol.node.store import open_database

APPROVALS: Final = "approvals.sqlite"
CLAUSE: Final = "approve"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS approvals (job TEXT PRIMARY KEY, name TEXT NOT NULL, approved TEXT NOT NULL,
    withdrawn TEXT NOT NULL, workload TEXT);
CREATE TABLE IF NOT EXISTS held (job TEXT PRIMARY KEY, asked TEXT NOT NULL);
"""


class Approval(msgspec.Struct, frozen=True):
    """One job as it stands. state: approved, withdrawn, or held (asked for by the bank, and not approved yet).

    job: its SHA-256, hex. name: from its file, "" if only the digest was given. approved, withdrawn, asked: UTC, ISO
    8601, "" if never. workload: what its file plans, None if only the digest was given.
    """

    job: str
    state: Literal["approved", "withdrawn", "held"]
    name: str = ""
    approved: str = ""
    withdrawn: str = ""
    asked: str = ""
    workload: Workload | None = None


class Approvals:
    """The jobs that a person at this partner has approved, in one SQLite file. A verb may write while a node reads."""

    def __init__(self, path: Path, party: str) -> None:
        """Raises: UsageError: the file cannot be used."""
        self._party, self._lock = party, threading.Lock()
        self._base = open_database(path, party, _TABLES)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def approve(self, job: str, name: str = "", workload: Workload | None = None) -> None:
        """Approve a job from now on; approving it again renews what is known of it."""
        plan = None if workload is None else msgspec.json.encode(workload).decode()
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, '', ?)", (job, name, _now(), plan))

    def withdraw(self, job: str) -> None:
        """Take an approval back: from the next message on, the job is held. Raises: UsageError: there is none."""
        with self._lock:
            done = self._base.execute(
                "UPDATE approvals SET withdrawn = ? WHERE job = ? AND withdrawn = ''", (_now(), job)
            )
        if not done.rowcount:
            raise UsageError(self._party, f"no approval of the job {job[:12]} is in force", "see `approve --list`")

    def require(self, job: str) -> Approval:
        """The approval in force. Raises: RefusedError: there is none; the job is then listed as held."""
        known = self._find(job)
        if known is None or known.state != "approved":
            if job:
                self._hold(job)
            what = f"the job {job[:12]} " if job else "a job without a digest "
            state = "is withdrawn" if known and known.state == "withdrawn" else "is not approved"
            raise refuse(
                self._party, CLAUSE, f"{what}{state}",
                f"ask {self._party} to run `partner-node approve` with this job's file, and run again",
            )  # fmt: skip
        return known

    def all(self) -> list[Approval]:
        """Every job approved, withdrawn or held, the latest last."""
        with self._lock:
            jobs = self._base.execute(
                "SELECT job, approved AS time FROM approvals UNION SELECT job, asked FROM held "
                "WHERE job NOT IN (SELECT job FROM approvals) ORDER BY time"
            ).fetchall()
        return [found for job, _ in jobs if (found := self._find(job))]

    def _find(self, job: str) -> Approval | None:
        with self._lock:
            row = self._base.execute(
                "SELECT name, approved, withdrawn, workload FROM approvals WHERE job = ?", (job,)
            ).fetchone()
            asked = self._base.execute("SELECT asked FROM held WHERE job = ?", (job,)).fetchone()
        last = asked[0] if asked else ""
        if row is None:
            return Approval(job, "held", asked=last) if asked else None
        name, approved, withdrawn, plan = row
        workload = msgspec.json.decode(plan, type=Workload) if plan else None
        return Approval(job, "withdrawn" if withdrawn else "approved", name, approved, withdrawn, last, workload)

    def _hold(self, job: str) -> None:
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO held VALUES (?, ?)", (job, _now()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
