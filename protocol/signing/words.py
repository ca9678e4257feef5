"""A contract in words: for whoever signs it, and for the list of all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from protocol.fields import as_shown
from protocol.signing.contract import Opened, SignedContract
from protocol.signing.kept import Contracts


def sentences(opened: Opened) -> Iterator[str]:
    """What a contract says, a fact a line; text of a peer is shown as it is, without control characters."""
    contract = opened.contract
    yield f"contract {contract.id}, serial {contract.serial}, {len(opened.envelope.signatures)} signature(s)"
    yield from map(as_shown, _facts(contract))


def _facts(contract: SignedContract) -> Iterator[str]:
    approval, clauses = contract.approval, contract.clauses
    yield f"between {approval.bank} (bank) and {approval.partner} (partner), with {', '.join(approval.partners)}"
    yield f"purpose: {contract.purpose.en} / {contract.purpose.zh}"
    yield f"in force from {contract.not_before} until {contract.not_after}"
    yield f"job {approval.name} ({approval.job[:12]}); columns {', '.join(approval.columns)}"
    yield f"engine {approval.engine}, alignment {approval.alignment}, split_rows {approval.split_rows}"
    yield (
        f"{clauses.trainings} encrypted trainings of {approval.workload.equations:,} equations and "
        f"{approval.workload.releases:,} score releases each; {clauses.refreshes} refreshes"
    )
    yield f"clauses: {', '.join(f'{name} {value:g}' for name, value in clauses.clauses.items())}"
    yield f"a bank that lies could read {contract.readable_share:.2f} of the bins at worst"
    if contract.words.en:
        yield f"{contract.words.en} / {contract.words.zh}"
    yield (
        f"known bits may be used to {contract.known_bits_use}, "
        f"and are erased {contract.retention_days} days after the end"
    )
    if contract.auditor:
        yield f"auditor: {contract.auditor}"


def rows_of(contracts: Contracts) -> list[dict[str, Any]]:
    """Every contract of a node as a row, for the list."""
    now, rows = datetime.now(UTC), []
    for opened in contracts.all():
        contract, end = opened.contract, contracts.ended(opened.contract)
        early = contract.when(now) == "early"
        rows.append({
            "id": contract.id, "serial": contract.serial, "bank": contract.approval.bank,
            "partner": contract.approval.partner, "job": contract.approval.job,
            "state": "early" if early else "in force" if end > now else "over",
            "not_before": contract.not_before, "ends": end.isoformat(timespec="seconds"),
            "days_left": max(0, (end - now).days),
            "trainings": contract.clauses.trainings, "refreshes": contract.clauses.refreshes,
            "max_information_share": contract.clauses.max_information_share,
            "readable_share": contract.readable_share, "sentences": [as_shown(one) for one in _facts(contract)],
        })  # fmt: skip
    return rows
