"""Approvals: which jobs a person at this partner has approved, until when and how often.

With `[policy] approve = "manual"`, the default, nothing but a greeting is answered for a job without an approval in
force. An approval is of a job file: it fixes the columns, bins, models and clauses, and the node refuses by name
whatever lies outside it.
"""

import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from protocol.contract import refuse
from protocol.errors import RefusedError, UsageError
from protocol.job.approval import Approval
from protocol.node.store import open_database

APPROVALS: Final = "approvals.sqlite"
CLAUSE: Final = "approve"
MOST_HELD: Final = 1_000
"""Jobs asked for and not approved that are listed; a bank that asks for ever more fills no disk."""

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS predicates (job TEXT PRIMARY KEY, predicate TEXT NOT NULL, withdrawn TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS held (job TEXT PRIMARY KEY, asked TEXT NOT NULL);
"""

State = Literal["approved", "expired", "withdrawn", "held"]


class Listed(msgspec.Struct, frozen=True):
    """One job as it stands. held: asked for by the bank, and not approved yet.

    withdrawn, asked: UTC, ISO 8601, "" if never. approval: None of a held job.
    """

    job: str
    state: State
    asked: str = ""
    withdrawn: str = ""
    approval: Approval | None = None


def not_in_force(party: str, job: str, thing: str, how: str = "") -> RefusedError:
    """The refusal of a job whose approval is not in force. thing: why, as a verb and its object."""
    return refuse(
        party, CLAUSE, f"the job {job[:12]} {thing}",
        f"ask {party} to run `partner-node approve` with this job's file{how}, and run again "
        "(`FederatedBooster.job_file` writes the file of a fit)",
    )  # fmt: skip


class Approvals:
    """The jobs that a person at this partner has approved, in one SQLite file.

    A command may write while a node reads.
    """

    def __init__(self, path: Path, party: str) -> None:
        """Raises: UsageError: the file cannot be used."""
        self._party, self._lock = party, threading.Lock()
        self._base = open_database(path, party, _TABLES)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def keep(self, approval: Approval) -> None:
        """Put an approval in force; it replaces an earlier one of the same job."""
        text = msgspec.json.encode(approval).decode()
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO predicates VALUES (?, ?, '')", (approval.job, text))

    def withdraw(self, job: str) -> None:
        """Take an approval back: from the next message on, the job is refused. Raises: UsageError: there is none."""
        with self._lock:
            done = self._base.execute(
                "UPDATE predicates SET withdrawn = ? WHERE job = ? AND withdrawn = ''", (_now(), job)
            )
        if not done.rowcount:
            raise UsageError(self._party, f"no approval of the job {job[:12]} is in force", "see `approve --list`")

    def require(self, job: str) -> Approval:
        """The approval in force.

        Raises: RefusedError: it is absent, withdrawn or expired. A job that was never approved is listed as held.
        """
        if not _DIGEST.fullmatch(job):
            thing = "a job without a digest is not approved"
            raise refuse(self._party, CLAUSE, thing, "name the job, or the model to score by, in the greeting")
        known = self._find(job)
        if known is None or known.approval is None:
            self._hold(job)
            raise not_in_force(self._party, job, "is not approved")
        if known.state == "withdrawn":
            raise not_in_force(self._party, job, f"had its approval withdrawn at {known.withdrawn}")
        if known.state == "expired":
            thing = f"has an approval that expired at {known.approval.not_after}"
            raise not_in_force(self._party, job, thing, " once more")
        return known.approval

    def state_of(self, job: str) -> State | None:
        """How a job stands; None if it was neither approved nor asked for."""
        known = self._find(job)
        return known.state if known else None

    def all(self) -> list[Listed]:
        """Every job approved, withdrawn, expired or held, the latest last."""
        with self._lock:
            jobs = self._base.execute(
                "SELECT job, json_extract(predicate, '$.approved') AS time FROM predicates UNION "
                "SELECT job, asked FROM held WHERE job NOT IN (SELECT job FROM predicates) ORDER BY time, job"
            ).fetchall()
        return [found for job, _ in jobs if (found := self._find(job))]

    def _find(self, job: str) -> Listed | None:
        with self._lock:
            row = self._base.execute("SELECT predicate, withdrawn FROM predicates WHERE job = ?", (job,)).fetchone()
            asked = self._base.execute("SELECT asked FROM held WHERE job = ?", (job,)).fetchone()
        last = asked[0] if asked else ""
        if row is None:
            return Listed(job, "held", last) if asked else None
        approval, withdrawn = msgspec.json.decode(row[0], type=Approval), row[1]
        state: State = "approved"
        if withdrawn:
            state = "withdrawn"
        elif approval.expired(datetime.now(UTC)):
            state = "expired"
        return Listed(job, state, last, withdrawn, approval)

    def _hold(self, job: str) -> None:
        """List a job as held; the ones asked for longest ago make room."""
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO held VALUES (?, ?)", (job, _now()))
            self._base.execute(
                "DELETE FROM held WHERE rowid NOT IN (SELECT rowid FROM held ORDER BY rowid DESC LIMIT ?)",
                (MOST_HELD,),
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
