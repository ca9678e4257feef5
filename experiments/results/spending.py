"""What an experiment would spend of each partner's budgets, said before it starts.

Tables dealt out in one place are a simulation: every run has a ledger of its own, and what is said here is what real
partners would be asked for. Partners that bring their own tables have one budget for all of it: what does not fit is
refused before the first query.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import log2
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from experiments.data import ensure
from protocol.contract import refuse
from protocol.job import Job
from protocol.job.workload import workload
from protocol.node.command import TALK
from protocol.table import Source
from protocol.table.opening import made_plain
from protocol.table.scan import Scan
from protocol.table.snapshots import at_hand


@dataclass(frozen=True)
class Spending:
    """Of one partner, as shares of its budgets: 1 is all. runs: how many are added up.

    equations: exact but for the number of matched rows. information: at most; thresholds that are known cost nothing.
    """

    equations: float
    information: float
    runs: int


def spending(jobs: Sequence[Job], rows: int) -> dict[str, Spending]:
    """By partner, of all these jobs together. rows: of the bank."""
    found: dict[str, Spending] = {}
    for partner in dict.fromkeys(p for job in jobs for p in job.partners):
        own = [job for job in jobs if partner in job.partners]
        equations = sum(_equations_share(job, partner, rows) for job in own)
        information = max(_information_share(job, partner) for job in own)
        found[partner] = Spending(equations, information, len(own))
    return found


def rows_of(job: Job) -> int:
    """Rows of the bank's table. Raises: UsageError, DataError: it cannot be read."""
    source = job.data.source or job.parties[job.bank].source
    assert source
    with ExitStack() as stack:
        if source.kind == "sql":  # the run that follows reads it into its own folder
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="fedwarn-")))
            source = at_hand(source.model_copy(update={"path": folder / source.path.name}), job.bank)
        return _counted(source, job)


def _counted(source: Source, job: Job) -> int:
    spec = job.data
    ensure(source.path)
    with made_plain(source, job.bank) as plain, duckdb.connect() as base:
        scan = Scan(base, plain, spec.id, spec.missing, job.bank)
        return int(base.sql(f"SELECT count(*) FROM {scan.relation}").fetchall()[0][0])


def announce(jobs: Sequence[Job], rows: int, what: str, enforced: bool) -> None:
    """Say what all these jobs would spend. enforced: partners keep one budget for all of it, and are asked for no more.

    Raises: RefusedError: it is enforced, and does not fit.
    """
    found = spending(jobs, rows)
    for partner, spent in found.items():
        TALK.say(
            f"{what} asks {partner} for {spent.equations:.0%} of its equation budget, and for up to "
            f"{spent.information:.0%} of its information budget"
        )
    if enforced:
        require_fit(found, what)


def require_fit(found: dict[str, Spending], what: str) -> None:
    """Between partners that keep one budget for all of it. Raises: RefusedError: it does not fit."""
    for partner, spent in found.items():
        if spent.equations > 1:
            raise refuse(
                partner, "max_equations_share", f"{what} asks for {spent.equations:.0%} of its equation budget",
                "run fewer of them, or fewer or shallower trees; nothing has been asked yet",
            )  # fmt: skip


def _equations_share(job: Job, partner: str, rows: int) -> float:
    matched = rows * (1 - job.split.test - job.split.validation) * job.parties[partner].coverage
    limit = int(job.contract.max_equations_share * matched)
    wanted = workload(job, partner).equations
    return wanted / limit if limit else float(wanted > 0) * 1e9


def _information_share(job: Job, partner: str) -> float:
    """A split tells one bit a row at most, and a column of B bins holds log2 B."""
    limit = job.contract.max_information_share
    if not limit:
        return 0.0
    columns, told = len(job.parties[partner].columns), 0.0
    for plan in workload(job, partner).models:
        splits = plan.trees * (2**plan.depth - 1)
        told += splits / (columns * log2(max(2, plan.cutting.max_bin)))
    return min(1.0, told / limit)
