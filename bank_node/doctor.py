"""`bank-node doctor`: is everything in place for a run?

Nothing is trained, and nothing leaves but greetings, probes and formats of ids; with a sample, blinded ids too.
"""

from collections.abc import Callable
from functools import partial
from math import log2
from pathlib import Path
from typing import Final

from bank_node.node.connect import connected
from bank_node.node.node import BankNode
from bank_node.partners.checkup import CheckedUp
from bank_node.settings.config import BankConfig
from protocol.algorithms.agreement import Welcome
from protocol.algorithms.checkup import differences, formats_of
from protocol.errors import DataError, FedwarnError, PeerError
from protocol.files import own_folder, write_whole
from protocol.job import Job
from protocol.job.workload import workload
from protocol.node.checks import check_clock, check_footprint, check_own
from protocol.node.findings import Finding, checked, worst
from protocol.node.footprint import at_bank
from protocol.table import Table

SLOW_BYTES_A_S = 1e6
LONG_LATENCY_S = 0.2
FEW_THRESHOLDS: Final = 2
"""A column: below it a budget says little of what the columns are worth."""
PROPOSED_THRESHOLDS: Final = 3


def examine(config: BankConfig, job: Job | None, sample: int) -> list[Finding]:
    """One finding a check: the own table and certificate, then, if both are well, every partner; and the job's needs.

    sample: of how many of the bank's rows the overlap is found by an alignment of their own, 0 for none; partners
    align under a job that they have approved.
    """
    findings, table = check_own(config)
    welcomes: dict[str, Welcome] = {}
    if table is not None and not worst(findings):
        for partner in config.partners:
            findings += _partner(config, table, partner, sample, job.sha256 if job else "", welcomes)
        if job is not None:
            findings.append(_needs(config, table, job, welcomes))
            findings += _thresholds(config, job, welcomes)
    return findings


def _partner(
    config: BankConfig, table: Table, partner: str, sample: int, job: str, welcomes: dict[str, Welcome]
) -> list[Finding]:
    """Greets one partner, compares versions and settings, and examines the link and the ids."""
    alone = config.model_copy(update={"partners": {partner: config.partners[partner]}, "patience_s": 0.0})
    findings: list[Finding] = []
    try:
        with connected(alone, lambda phase, done, total: None) as node:
            welcome = welcomes[partner] = node.greet(partner, table)
            findings.append(Finding(partner, "node", _said(welcome)))
            findings += _checkup(config, table, partner, node.check_up(partner, table))
            findings.append(_overlap(node, table, partner, sample, job))
    except FedwarnError as error:
        findings.append(Finding(error.party, "node", error.thing, error.remedy, error.exit_code))
    return findings


def _said(welcome: Welcome) -> str:
    terms = welcome.terms
    return f"answers, {terms.software}, {welcome.rows:,} rows, {welcome.columns} columns, {terms.engine}"


def _checkup(config: BankConfig, table: Table, partner: str, seen: CheckedUp) -> list[Finding]:
    slow = min(seen.up, seen.down) < SLOW_BYTES_A_S or seen.latency_s > LONG_LATENCY_S
    link = f"{seen.latency_s * 1e3:.1f} ms a round trip, {seen.up / 1e6:.1f} MB/s there, {seen.down / 1e6:.1f} back"
    remedy = "expect long runs: train fewer trees, or bring the nodes nearer" if slow else ""
    return [
        check_clock(partner, config.party, seen.skew_s),
        Finding(partner, "link", link, remedy, warning=slow),
        _ids(config, table, partner, seen),
        _schema(config, partner, seen.schema),
    ]


def _ids(config: BankConfig, table: Table, partner: str, seen: CheckedUp) -> Finding:
    differ = differences(formats_of(table.entity_ids), seen.formats, config.party, partner)
    if not differ:
        return Finding(partner, "ids", "are written as the bank's are")
    thing, remedy = differ[0]
    return Finding(partner, "ids", thing, remedy, DataError.exit_code)


def _schema(config: BankConfig, partner: str, schema: str) -> Finding:
    """Whether names or types of the partner's columns changed since the last doctor."""
    path: Path = own_folder(config.state / "schemas") / f"{partner.encode().hex()[:80]}.txt"
    before = path.read_text() if path.exists() else ""
    write_whole(path, schema.encode())
    if before and before != schema:
        remedy = f"ask {partner} which columns changed: jobs on them give other models"
        return Finding(partner, "columns", f"changed since the last doctor (now {schema})", remedy, warning=True)
    return Finding(partner, "columns", f"{'as at the last doctor' if before else 'seen for the first time'}: {schema}")


def _overlap(node: BankNode, table: Table, partner: str, sample: int, job: str) -> Finding:
    """From the kept alignment, which tells nothing new; or from an alignment of a sample, if one is asked for."""
    work: Callable[[], str] = partial(_matched, node, table, partner, sample, job)
    return checked(partner, "overlap", work)


def _matched(node: BankNode, table: Table, partner: str, sample: int, job: str) -> str:
    if sample:
        found = node.align_sample(partner, table, sample, job)
        share = found.matches / len(found.positions)
        return f"{found.matches:,} of a sample of {len(found.positions):,} rows ({share:.0%})"
    kept = node.kept_alignment(partner, table)
    if kept is None:
        return "not known before `align`; --sample N tells it for N rows, at the price of an alignment"
    return f"{kept.matches:,} of {len(kept.positions):,} rows match, by the alignment kept"


def _thresholds(config: BankConfig, job: Job, welcomes: dict[str, Welcome]) -> list[Finding]:
    """How many thresholds of each partner the information budget admits, of a job that asks for some.

    The bank does not know the partner's bins: it takes them to be of equal size. A threshold tells at
    most one bit a row, and least where it cuts off a single bin. The partner's preview knows its bins.
    """
    findings = []
    bins = max(model.thresholds_of for model in job.models)
    for partner, welcome in welcomes.items():
        if not bins or partner not in job.partners:
            continue
        share = min(config.contract.max_information_share, job.contract.max_information_share)
        share = min(share, welcome.terms.contract.get("max_information_share", 1.0))
        known, columns = share * log2(bins) * welcome.columns, welcome.columns  # bits of all columns together
        least, most = int(known), int(known / _bits_of_one_in(bins))
        thing = f"max_information_share {share:g} admits {least} to {most} thresholds of its {columns} columns"
        few = not least or most < FEW_THRESHOLDS * columns
        wanted = log2(PROPOSED_THRESHOLDS + 1) / log2(bins)
        remedy = f"agree on {min(1.0, wanted):.2f}, which admits {PROPOSED_THRESHOLDS} a column" if few else ""
        findings.append(Finding(partner, "thresholds", thing, remedy, warning=few))
    return findings


def _bits_of_one_in(bins: int) -> float:
    """What a threshold tells that cuts one of so many equal bins off, in bits a row."""
    p = 1 / bins
    return -p * log2(p) - (1 - p) * log2(1 - p)


def _needs(config: BankConfig, table: Table, job: Job, welcomes: dict[str, Welcome]) -> Finding:
    for partner in job.partners:
        if partner not in config.partners:
            thing, remedy = f"its node.toml has no [partners.{partner}]", "add its address"
            return Finding(config.party, "job", thing, remedy, PeerError.exit_code)
    partners = {p: (w.rows, w.columns, workload(job, p)) for p, w in welcomes.items() if p in job.partners}
    return check_footprint(config, at_bank(table.rows, len(table.columns), partners))
