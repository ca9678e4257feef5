"""The bank's part in signed contracts: a draft a partner, and what holds before a partner's data are used."""

import secrets
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bank_node.settings.config import BankConfig
from protocol.contract import Contract
from protocol.errors import RefusedError, UsageError
from protocol.identity import load_identity
from protocol.identity.certificates import issuer_of
from protocol.job import Job
from protocol.job.approval import Approval
from protocol.job.workload import workload
from protocol.signing.contract import Purpose, SignedContract, seal
from protocol.signing.envelope import Envelope
from protocol.signing.kept import Contracts, digest_of

_NOT_YET: Final = "0" * 64
"""Stands in a draft for what the partner fills in."""
_ERASED: Final = ("alignments", "hints", "known", "refreshed")
"""Folders of a node's state that hold what partners told."""


def contracts_of(config: BankConfig) -> Contracts:
    """The contracts in this node's state folder."""
    return Contracts(config.state, config.party, config.contract_keys)


def clauses_with(config: BankConfig, partner: str) -> Contract:
    """The clauses that hold with a partner. Raises: RefusedError: its contract is over, or one is required."""
    live = contracts_of(config).require(partner, needed=config.require_contract)
    return live.contract.clauses if live else config.contract


def require_contracts(config: BankConfig, partners: Iterable[str]) -> None:
    """See that what partners told may still be used, where no partner is asked: the bank itself refuses after the end.

    Raises: RefusedError: a contract is over, or one is required and there is none.
    """
    for partner in partners:
        contracts_of(config).require(partner, needed=config.require_contract)


def in_force(config: BankConfig, partners: Iterable[str]) -> list[str]:
    """Those of the partners whose data may still be used. Raises: RefusedError: there are some, and none may."""
    found, refusals = [], []
    for partner in partners:
        try:
            require_contracts(config, [partner])
            found.append(partner)
        except RefusedError as error:
            refusals.append(error)
    if refusals and not found:
        raise refusals[0]
    return found


def draft(config: BankConfig, job: Job, job_file: str, partner: str, purpose: Purpose, days: int) -> Envelope:
    """A contract with one partner, before the partner completes it; a renewal where one is here already.

    days: of its validity, from now. Raises: UsageError: the job has no such partner.
    """
    if partner not in job.partners:
        thing = f"is no partner of the job, whose partners are {', '.join(job.partners)}"
        raise UsageError(partner, thing, "name one of them")
    before = max(contracts_of(config).with_peer(partner), key=lambda one: one.contract.not_after, default=None)
    now = datetime.now(UTC).replace(microsecond=0)
    identity = load_identity(config.identity, config.party, demo=config.demo)
    clauses = {name: float(value) for name, value in config.contract.stricter(job.contract).clauses.items()}
    approval = Approval(
        bank=config.party, partner=partner, partners=job.partners, job=job.sha256, name=job.name,
        columns=job.parties[partner].columns or ("*",), features=(), features_sha256=_NOT_YET,
        workload=workload(job, partner), engine=config.engine, alignment=config.alignment,
        split_rows=config.split_rows, clauses=clauses, approved=now.isoformat(),
        not_after=(now + timedelta(days=days)).isoformat(), uses=int(clauses["trainings"]),
    )  # fmt: skip
    contract = SignedContract(
        id=before.contract.id if before else secrets.token_hex(32),
        serial=before.contract.serial + 1 if before else 1,
        supersedes=digest_of(before) if before else "",
        purpose=purpose, approval=approval, not_before=now.isoformat(), not_after=approval.not_after,
        authorities={config.party: issuer_of(identity.certificate)}, audit_days=config.audit_days, job_file=job_file,
    )  # fmt: skip
    return seal(contract, _NOT_YET)


def standing(config: BankConfig) -> list[dict[str, Any]]:
    """Of every contract: partner, validity, state, trainings and what budgets it fixes."""
    found, contracts = [], contracts_of(config)
    for opened in contracts.all():
        contract, end = opened.contract, contracts.ended(opened.contract)
        now = datetime.now(UTC)
        state = "early" if contract.when(now) == "early" else "in force" if end > now else "over"
        clauses = contract.clauses
        found.append({
            "partner": contract.approval.partner, "id": contract.id, "serial": contract.serial, "state": state,
            "not_before": contract.not_before, "ends": end.isoformat(timespec="seconds"),
            "trainings": clauses.trainings, "refreshes": clauses.refreshes,
            "max_information_share": clauses.max_information_share, "readable_share": contract.readable_share,
            "job": contract.approval.job,
        })  # fmt: skip
    return found


def erase(config: BankConfig, contract: SignedContract) -> tuple[str, ...]:
    """Erase what this node keeps of partners' tables: alignments, hints, known bits. Models stay as they were fitted.

    Raises: UsageError: another contract is in force, whose things these are too.
    """
    now, contracts = datetime.now(UTC), contracts_of(config)
    others = [one for one in contracts.all() if one.contract.id != contract.id]
    if any(contracts.ended(one.contract) > now for one in others):
        thing = "has another contract in force, and the state folder holds what both need"
        raise UsageError(config.party, thing, "withdraw when the last one has ended")
    erased = tuple(name for name in _ERASED if (config.state / name).exists())
    for name in erased:
        shutil.rmtree(config.state / name)
    return erased
