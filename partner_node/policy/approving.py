"""`partner-node approve`: a person's decision on a job, by its file."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import msgspec

from partner_node.config import PartnerConfig
from partner_node.policy.defaults import DAYS, USES
from partner_node.policy.opening import open_budgets
from partner_node.policy.policy import APPROVALS, Approvals, Listed
from protocol.errors import DataError, UsageError, nearest
from protocol.files import own_folder
from protocol.job import Job, load_job
from protocol.job.approval import Approval, digest_of_names
from protocol.job.plan import PlannedModel
from protocol.job.workload import workload
from protocol.table import describe

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_WIDTH: Final = 80


def open_approvals(config: PartnerConfig) -> Approvals:
    """The approvals in the node's state folder. Raises: UsageError: the file cannot be used."""
    return Approvals(own_folder(config.state) / APPROVALS, config.party)


def approve(config: PartnerConfig, job: Job, days: int = DAYS, uses: int = USES) -> Approval:
    """Approve a job at this node, for so many days and runs.

    Raises:
        UsageError: the table or the state folder cannot be used.
        DataError: the table lacks a column of the job.
    """
    approval = approval_of(config, job, days, uses)
    open_budgets(config).close()  # books are there before the first approval, so that their loss is noticed
    with closing(open_approvals(config)) as approvals:
        approvals.keep(approval)
    return approval


def approval_of(config: PartnerConfig, job: Job, days: int = DAYS, uses: int = USES) -> Approval:
    """What an approval of the job would fix, from now on. Raises: as `approve`."""
    listed = job.parties[config.party].columns or ("*",)
    features = _features(config.party, listed, describe(config.data.source, config.data, config.party).features)
    now = datetime.now(UTC).replace(microsecond=0)
    return Approval(
        bank=job.bank,
        partner=config.party,
        partners=job.partners,
        job=job.sha256,
        name=job.name,
        columns=listed,
        features=features,
        features_sha256=digest_of_names(features),
        workload=workload(job, config.party),
        engine=config.engine,
        alignment=config.alignment,
        split_rows=config.split_rows,
        clauses={name: float(value) for name, value in config.contract.stricter(job.contract).clauses.items()},
        approved=now.isoformat(),
        not_after=(now + timedelta(days=days)).isoformat(),
        uses=uses,
    )


def _features(party: str, listed: Sequence[str], table: Sequence[str]) -> tuple[str, ...]:
    """Return the features that the job's names and patterns mean. Raises: DataError: one means none."""
    for name in listed:
        if not any(_means(name, feature) for feature in table):
            thing = f"the job lists its column {name!r}, which its table does not have{nearest(name, table)}"
            raise DataError(party, thing, "add the column to node.toml and the table, or ask for another job file")
    return tuple(feature for feature in table if any(_means(name, feature) for name in listed))


def _means(name: str, feature: str) -> bool:
    """Whether a name or pattern means a feature; a date's features are called after its column."""
    column = feature.rpartition(".")[0]
    return name in (feature, column) or ("*" in name and fnmatchcase(feature, name.replace("[", "[[]")))


def withdraw(config: PartnerConfig, job: str) -> str:
    """Take an approval back, and return the job's digest.

    job: a digest, or the path of the job's file. Raises: UsageError: there is no such approval or file.
    """
    sha256 = job if _DIGEST.fullmatch(job) else job_with(config.party, Path(job)).sha256
    with closing(open_approvals(config)) as approvals:
        approvals.withdraw(sha256)
    return sha256


def job_with(party: str, path: Path) -> Job:
    """A job file that has this party as a partner. Raises: UsageError."""
    job = load_job(path)
    if party not in job.partners:
        raise UsageError(
            party, f"is no partner in {path.name}", f"partners there are {', '.join(job.partners)}: compare the names"
        )
    return job


def as_row(known: Listed) -> dict[str, Any]:
    """For --json."""
    row: dict[str, Any] = msgspec.to_builtins(known)
    return row


def printable(text: str) -> str:
    """Text of a peer without control characters, which could move the cursor of the terminal that shows it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def headline(approval: Approval) -> list[str]:
    """What was approved, in two lines."""
    plan, job = approval.workload, approval.job[:12]
    until, runs = approval.not_after[:10], "1 run" if approval.uses == 1 else f"{approval.uses} runs"
    models = "; ".join(_model(model) for model in plan.models)
    return [
        f"approved {printable(approval.name)} of {printable(approval.bank)} (job {job}): {runs} until {until}",
        f"{_columns(approval)}; {models}; {plan.equations:,} equations, {plan.releases:,} score releases",
    ]


def _columns(approval: Approval) -> str:
    count = len(approval.features)
    return "1 column" if count == 1 else f"{count:,} columns"


def _model(model: PlannedModel) -> str:
    """One model in a few words."""
    if model.trees:
        return f"{model.name}: {model.trees:,} trees of depth {model.depth}, {model.cutting.text} bins"
    if model.columns:
        return f"{model.name}: up to {model.columns} columns, {model.cutting.text} bins"
    return f"{model.name}: bin tables, {model.cutting.text} bins"


def listed_lines(known: Sequence[Listed]) -> Iterator[str]:
    """Every job as lines of at most 80 characters where words allow it; nothing is cut."""
    for one in known:
        yield f"{one.state:9} {one.job}"
        for text in _details(one):
            yield from wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
    if not known:
        yield "no job was approved or asked for yet"


def _details(one: Listed) -> Iterator[str]:
    approval = one.approval
    if approval is None:
        yield f"asked for at {one.asked}; `partner-node approve` with its file answers it"
        return
    if one.withdrawn:
        yield f"withdrawn at {one.withdrawn}"
    yield from fixed(approval)


def fixed(approval: Approval) -> Iterator[str]:
    """What an approval fixes, in sentences: for the list of approvals and for the preview."""
    partners = ", ".join(map(printable, approval.partners))
    yield f"{printable(approval.name)} of {printable(approval.bank)}, with {partners}"
    yield f"approved at {approval.approved} for {approval.uses} run(s), not after {approval.not_after}"
    yield f"{_columns(approval)}: {', '.join(map(printable, approval.features))}"
    yield from (_model(model) for model in approval.workload.models)
    special = dict.fromkeys(value for cutting in approval.workload.cuttings for value in cutting.special)
    if special:
        yield f"special values: {', '.join(f'{value:g}' for value in special)}"
    yield f"{approval.workload.equations:,} equations, {approval.workload.releases:,} score releases"
    yield f"engine {approval.engine}, alignment {approval.alignment}, split_rows {approval.split_rows}"
    yield "clauses: " + ", ".join(f"{name} {value:g}" for name, value in approval.clauses.items())
