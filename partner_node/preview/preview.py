"""`partner-node preview`: what a job would take out of this partner, before anybody says yes to it."""

from contextlib import closing
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import msgspec
import numpy as np

from partner_node.algorithms.alignment import dated_records
from partner_node.algorithms.binning import BinnedTable
from partner_node.config import PartnerConfig
from partner_node.node.bins import as_told, cut_table
from partner_node.node.layouts import trained_on
from partner_node.policy.approving import approval_of, fixed, open_approvals, printable
from partner_node.policy.budgets import Budgets
from partner_node.policy.opening import open_budgets
from partner_node.policy.readable import Entropy, share_told
from partner_node.preview.outgoing import Leaving, Sizes, leaving, splits_asked
from partner_node.preview.reach import Bins, Reach, bits_known, entropy, reach, share_for
from partner_node.preview.worst_case import Plan, first_full_release, planned_readable
from protocol.algorithms.alignment import PartnerAlignment, load
from protocol.algorithms.binning import Cutting
from protocol.algorithms.dropping import why_dropped
from protocol.contract import Contract
from protocol.errors import DataError, PeerError, RefusedError
from protocol.job import Job
from protocol.job.approval import Approval
from protocol.job.workload import Workload, workload
from protocol.settings.preparation import kinds_of, text_of
from protocol.table import Column, Table, read_table


class UsedColumn(msgspec.Struct, frozen=True):
    """A feature of the table, as a job would use it. bins: with `missing`, by cutting asked; 0 = dropped.

    told: what the bank is told of it: nothing, "name", or "name and bins"; and how it is prepared, by kind.
    dropped: why it has one bin in some cutting, "" if it has more in all; the bank is not told this.
    """

    name: str
    bins: dict[str, int]
    told: str
    dropped: str = ""


class Equations(msgspec.Struct, frozen=True):
    """The equation budget. planned: by this job at most. left: after it. limit: for `rows` matched rows."""

    spent: int
    planned: int
    limit: int
    left: int
    rows: int


class Told(msgspec.Struct, frozen=True):
    """Information of one binning. thresholds: there are. revealed: so far. admitted: in all at most, after the job.

    bins: how its columns are cut. share_now, share_after: of 1; the latter in the worst case.
    """

    bins: str
    thresholds: int
    revealed: int
    admitted: int
    share_now: float
    share_after: float
    limit: float


class AtWorst(msgspec.Struct, frozen=True):
    """What a bank that deviates from the protocol could read of one binning, after all runs of the job, at most.

    bins: how its columns are cut. share: of the entropy of all columns' bins. largest: of the column of which most
    could be read. releases: of partial scores, in all runs. full: the first of them after which all columns of a
    linear model may be readable; 0: none reaches that far.
    """

    bins: str
    share: float
    largest: float
    releases: int
    full: int


class Clause(msgspec.Struct, frozen=True):
    """A clause of the contract: ours, the job's, the one that holds, and whose is the stricter ("" if alike)."""

    name: str
    ours: float
    job: float
    holds: float
    stricter: str


class Preview(msgspec.Struct, frozen=True):
    """All that a partner should know of a job.

    fixes: what an approval would fix, in sentences; empty where the job cannot be approved. refused: why it would end,
    in sentences. notes: what was assumed.
    reading: what of its own table was read otherwise than it is written, or dropped.
    """

    job: str
    name: str
    party: str
    bank: str
    approval: str
    fixes: list[str]
    account: str
    files: int
    rows: int
    bank_rows: int
    columns: list[UsedColumn]
    leaving: list[Leaving]
    equations: Equations
    information: list[Told]
    readable: list[AtWorst]
    score_releases: dict[str, int]
    clauses: list[Clause]
    refused: list[str]
    reading: list[str]
    notes: list[str]
    exit_code: int


@dataclass(frozen=True)
class _Case:
    """A job at a partner: what all figures are computed from."""

    config: PartnerConfig
    job: Job
    table: Table
    plan: Workload
    contract: Contract
    tables: dict[Cutting, BinnedTable]
    budgets: Budgets
    bank_rows: int
    matches: int
    approval: Approval | None


def preview(config: PartnerConfig, job: Job, bank_rows: int | None) -> Preview:
    """What the job would take.

    Args:
        bank_rows: of the bank's table; None takes those of the alignment that was trained on last, or as many as ours.

    Raises: UsageError, DataError: the table cannot be read.
    """
    table = read_table(config.data.source, config.data, config.party)
    contract, plan = config.contract.stricter(job.contract), workload(job, config.party)
    approval = _approvable(config, job)
    features = approval.features if approval else None
    tables = {c: as_told(config, cut_table(config, table, c, contract, features)) for c in plan.cuttings}
    aligned = _training_alignment(config, job)
    theirs, matches = _rows(aligned, table.rows, bank_rows)
    with closing(open_budgets(config)) as budgets:
        case = _Case(config, job, table, plan, contract, tables, budgets, theirs, matches, approval)
        return _preview(case, aligned is None)


def _approvable(config: PartnerConfig, job: Job) -> Approval | None:
    """What an approval would fix; None where the table lacks a column of the job, and so the job cannot be approved."""
    try:
        return approval_of(config, job)
    except DataError:
        return None


def _rows(aligned: PartnerAlignment | None, ours: int, given: int | None) -> tuple[int, int]:
    """Rows of the bank's table, and matches among them; of other rows than were aligned, all are taken to match."""
    known, matches = _aligned_rows(aligned) if aligned else (ours, ours)
    if given is None or given == known:
        return known, min(matches, known)
    return given, min(given, ours)


def _aligned_rows(aligned: PartnerAlignment) -> tuple[int, int]:
    """Rows of the bank's table, and matches among them; a bank that sends dates declared its ids, and has more rows."""
    if aligned.setting == "one-sided":
        return aligned.bank_rows, aligned.matches
    return max(aligned.bank_rows, len(aligned.order)), int((aligned.order >= 0).sum())


def _preview(case: _Case, unaligned: bool) -> Preview:
    config, job = case.config, case.job
    equations, state = _equations(case), _approval(config, job)
    sizes = _sizes(case)
    information = _information(case, splits_asked(case.plan, sizes))
    refused = [*_settings_that_differ(case), *_budget_that_does_not_fit(config, equations)]
    codes = [PeerError.exit_code if _settings_that_differ(case) else RefusedError.exit_code] if refused else [0]
    return Preview(
        job=job.sha256, name=job.name, party=config.party, bank=job.bank, approval=state,
        fixes=list(fixed(case.approval)) if case.approval else [],
        account=config.policy.account, files=len(case.budgets.files(config.policy.account)),
        rows=case.table.rows, bank_rows=case.bank_rows, columns=_columns(case), leaving=leaving(case.plan, sizes),
        equations=equations, information=information, readable=_readable(case, information),
        score_releases={"planned": case.plan.releases, "limit": case.contract.score_releases},
        clauses=_clauses(config, job),
        refused=refused, reading=[note.text for note in case.table.reading],
        notes=_notes(case, unaligned, information), exit_code=codes[0],
    )  # fmt: skip


def _sizes(case: _Case) -> Sizes:
    """One-sided, the space of rows is the partner's own; shared, it is the bank's rows that any partner matched."""
    config, job = case.config, case.job
    ids = len(dated_records(case.table, config.grid)[0])
    space = ids if config.alignment == "one-sided" else case.bank_rows
    shared = config.alignment == "shared" and len(job.partners) > 1
    masked = shared and case.contract.masked_scores
    return Sizes(ids, space, case.bank_rows, len(job.partners), case.tables, config.engine, shared, masked)


def _approval(config: PartnerConfig, job: Job) -> str:
    if config.policy.approve == "auto":
        return "not needed"
    with closing(open_approvals(config)) as approvals:
        return approvals.state_of(job.sha256) or "none yet"


def _columns(case: _Case) -> list[UsedColumn]:
    bins = {
        cutting.text: {name: shape.size for name, shape in zip(table.names, table.shapes, strict=True)}
        for cutting, table in case.tables.items()
    }
    return [
        UsedColumn(c.name, {b: sizes.get(c.name, 0) for b, sizes in bins.items()}, _told(case, c.name), _why(case, c))
        for c in case.table.columns
    ]


def _why(case: _Case, column: Column) -> str:
    """Why a column is dropped from some binning, "" if it is kept in all."""
    if all(column.name in table.names for table in case.tables.values()):
        return ""
    unique = column.name in case.table.mostly_unique
    return "mostly unique" if unique else why_dropped(column, case.contract.smallest_bin(case.table.rows))


def _told(case: _Case, column: str) -> str:
    policy = case.config.policy
    named = "" if column not in policy.names else "name and bins" if column in policy.tell_bins else "name"
    treatments = [t.treatment(t.names.index(column)) for t in case.tables.values() if column in t.names]
    prepared = dict.fromkeys(text_of(kinds_of(treatment)) for treatment in treatments)
    return "; ".join(part for part in (named, *prepared) if part)


def _equations(case: _Case) -> Equations:
    config, split = case.config, case.job.split
    known = split.kind != "column"
    rows = round(case.matches * (1 - split.test - split.validation)) if known else case.matches
    spent = case.budgets.equations(config.bank, config.policy.account)
    done = case.budgets.equations(config.bank, config.policy.account, case.job.sha256)
    planned = max(0, case.plan.equations - done)
    limit = int(case.contract.max_equations_share * min(rows, case.table.rows))
    return Equations(spent, planned, limit, limit - spent - planned, rows)


def _information(case: _Case, asked: dict[Cutting, int]) -> list[Told]:
    config, account = case.config, case.config.policy.account
    out = []
    for cutting, table in case.tables.items():
        told = case.budgets.revealed(config.bank, account, table.digest, None)
        others = case.budgets.other_shares(config.bank, account, table.digest)
        total = case.budgets.other_shares(config.bank, account, b"")
        limit = case.contract.max_information_share
        found: Reach = reach(bins_of(table), limit, others, asked[cutting], len({split for split, _ in told}))
        out.append(
            Told(
                cutting.text,
                found.thresholds,
                len(told),
                found.admitted,
                share_told(total),
                share_told(max(total, found.share_after)),
                limit,
            )
        )
    return out


def _worst_plan(case: _Case) -> Plan:
    """All runs that an approval admits; a bank that deviates declares all matched rows as trained on."""
    bank, account = case.config.bank, case.config.policy.account
    rows, runs = min(case.matches, case.table.rows), case.approval.uses if case.approval else 1
    equations = {
        kind: max(0, runs * planned - case.budgets.equations(bank, account, case.job.sha256, kind=kind))
        for kind, planned in case.plan.by_kind.items()
    }
    left = int(case.contract.max_equations_share * rows) - case.budgets.equations(bank, account)
    most = max(0, left) if case.config.policy.equation_budget == "enforced" else None
    told = case.budgets.bits(bank, account)
    return Plan(case.plan, case.contract, equations, runs * case.plan.releases, rows, told, most)


def _readable(case: _Case, information: list[Told]) -> list[AtWorst]:
    """By binning, in the order of its information."""
    plan = _worst_plan(case)
    layouts = [dict(zip(table.names, table.shapes, strict=True)) for table in case.tables.values()]
    out = []
    for table, told in zip(case.tables.values(), information, strict=True):
        columns = zip(table.names, bins_of(table), strict=True)
        entropies = [Entropy(name, entropy(bins), 0.0) for name, bins in columns]
        worst = planned_readable(plan, layouts, entropies, told.share_after)
        full = first_full_release(plan, entropies)
        out.append(AtWorst(told.bins, share_told(worst.share), share_told(worst.largest), plan.releases, full))
    return out


def bins_of(table: BinnedTable) -> list[Bins]:
    """How many rows of the table lie in each bin, a column."""
    out = []
    for j, shape in enumerate(table.shapes):
        counts = np.bincount(table.bins[:, j], minlength=shape.size).astype(np.int64)
        out.append(Bins(counts[: shape.ordinary], int(counts[shape.ordinary :].sum()), shape.categorical))
    return out


def _clauses(config: PartnerConfig, job: Job) -> list[Clause]:
    holds = config.contract.stricter(job.contract).clauses
    theirs = job.contract.clauses
    out = []
    for name, ours in config.contract.clauses.items():
        stricter = "" if ours == theirs[name] else config.party if holds[name] == ours else job.bank
        out.append(Clause(name, ours, theirs[name], holds[name], stricter))
    return out


def _settings_that_differ(case: _Case) -> list[str]:
    ours, theirs = case.config, case.job.run
    pairs = {name: (getattr(ours, name), getattr(theirs, name)) for name in ("engine", "alignment", "split_rows")}
    return [f"{name} is {a} here and {b} in the job: the run would end" for name, (a, b) in pairs.items() if a != b]


def _budget_that_does_not_fit(config: PartnerConfig, equations: Equations) -> list[str]:
    if equations.left >= 0 or config.policy.equation_budget == "counted":
        return []
    return [
        f"the job plans {equations.planned} equations, and {max(0, equations.limit - equations.spent)} of "
        f"{equations.limit} are left: it would be refused (contract clause max_equations_share)"
    ]


_FEW: Final = 2
"""Thresholds a column below which a budget says little of it."""
_PROPOSED: Final = 3


def _few_thresholds(case: _Case, information: list[Told]) -> list[str]:
    """What the information budget admits, in words, where it is less than two thresholds a column."""
    notes = []
    for told, table in zip(information, case.tables.values(), strict=True):
        columns = bins_of(table)
        left = reach(columns, told.limit, 0.0, told.thresholds, told.revealed).admitted - told.revealed
        if told.thresholds and left < _FEW * len(columns):
            share = ceil(100 * share_for(columns, _PROPOSED)) / 100
            known, whole = bits_known(columns, share)
            notes.append(
                f"at {told.bins} bins the clause max_information_share {told.limit:g} admits at most {left} more "
                f"thresholds of {len(columns)} columns, fewer than {_FEW} a column; {share:.2f} would admit "
                f"{_PROPOSED} a column: the bank would then know, of each customer, at most {known:.0f} of "
                f"{whole:.0f} bits, enough to tell most customers from all others"
            )
    return notes


def _notes(case: _Case, unaligned: bool, information: list[Told]) -> list[str]:
    """What a reader must know to take the figures for what they are."""
    listed = case.job.parties[case.config.party].columns
    named = {c.name for c in case.table.columns}
    unlisted = sorted(named - set(case.approval.features)) if case.approval else []
    absent = sorted(c for c in listed if c not in named and not any(n.startswith(f"{c}.") for n in named))
    notes = ["the bank's own contract is in its node.toml; of each clause the stricter value holds"]
    if unaligned:
        notes.append("not aligned yet: all rows are taken to match, and the bank to have as many (--bank-rows)")
    if unlisted:
        notes.append(f"the job does not list {', '.join(map(repr, unlisted))}: an approval leaves them out")
    if case.approval is None:
        lacks = ", ".join(map(repr, map(printable, absent)))
        notes.append(f"the job lists {lacks}, which this table does not have: it cannot be approved")
    notes += _few_thresholds(case, information)
    if case.job.split.kind == "column":
        notes.append("the share of rows trained on is in a column of the bank's: all matched rows are counted")
    if case.config.policy.equation_budget == "counted":
        notes.append("the equation budget is only counted here ([policy] equation_budget)")
    return notes


def _training_alignment(config: PartnerConfig, job: Job) -> PartnerAlignment | None:
    """The alignment that the job was trained on, or else the one trained on last; scorings have others."""
    name = trained_on(config.state, job.sha256)
    return load(PartnerAlignment, config.state / "alignments" / f"{name}.npz", config.party) if name else None


def as_dict(found: Preview) -> dict[str, Any]:
    """For --json."""
    values: dict[str, Any] = msgspec.to_builtins(found)
    return values
