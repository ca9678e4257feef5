"""A partner's part in a signed contract: its columns and clauses, and what putting it in force or ending it does."""

import secrets
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from partner_node.config import PartnerConfig
from partner_node.policy.approving import approval_of, open_approvals
from partner_node.policy.opening import open_budgets
from protocol.contract import Contract, refuse
from protocol.errors import UsageError
from protocol.files import own_folder, write_whole
from protocol.he.streams import digest
from protocol.identity import load_identity
from protocol.identity.certificates import issuer_of
from protocol.job import Job, read_job
from protocol.job.approval import Approval
from protocol.signing.contract import CLAUSE, Opened, Purpose, SignedContract, read_contract, seal
from protocol.signing.envelope import Envelope
from protocol.signing.kept import Contracts

SALT: Final = "salt"
_ERASED: Final = ("hints", "pools", "layouts", "alignments")
"""Folders of a node's state that hold what was made for one cooperation."""


def contracts_of(config: PartnerConfig) -> Contracts:
    """The contracts in this node's state folder."""
    return Contracts(config.state, config.party, config.contract_keys)


def job_of(contract: SignedContract, party: str) -> Job:
    """The job in a contract. Raises: UsageError: it is none. RefusedError: it is another than the contract names."""
    job = read_job(contract.job_file, "the contract's job")
    if job.sha256 != contract.approval.job or party not in job.partners:
        thing = "names one job, and has the file of another, or of other partners, in it"
        raise refuse("contract", CLAUSE, thing, "draft it again")
    return job


def complete(config: PartnerConfig, draft: Opened, clauses: Contract, words: Purpose, readable: float) -> Envelope:
    """The contract with what only the partner knows: its columns under a commitment, and its clauses.

    The salt of the commitment stays in the state folder. Raises: UsageError, DataError, RefusedError.
    """
    contract = draft.contract
    if contract.approval.partner != config.party or contract.approval.bank != config.bank:
        thing = f"is of {' and '.join(contract.parties)}"
        raise refuse("draft", CLAUSE, thing, f"ask for one of {config.bank} and {config.party}")
    approval, salt = approval_of(config, job_of(contract, config.party)), secrets.token_bytes(32)
    fixed = {name: float(value) for name, value in clauses.clauses.items()}
    written = msgspec.structs.replace(
        contract,
        approval=msgspec.structs.replace(
            contract.approval, columns=approval.columns, workload=approval.workload, clauses=fixed,
            engine=approval.engine, alignment=approval.alignment, split_rows=approval.split_rows,
        ),
        authorities={**contract.authorities, config.party: authority_of(config)},
        readable_share=readable, words=words, audit_days=config.audit_days,
    )  # fmt: skip
    write_whole(own_folder(config.state / "contracts" / contract.id) / SALT, salt)
    return seal(written, commitment(salt, approval.features))


def authority_of(config: PartnerConfig) -> str:
    """The issuer of this node's certificate, SHA-256 in hexadecimal."""
    identity = load_identity(config.identity, config.party, demo=config.demo)
    return issuer_of(identity.certificate)


def commitment(salt: bytes, features: tuple[str, ...]) -> str:
    """What a contract says of a partner's columns without naming them, hex."""
    return digest(b"fedwarn.v1 columns of a contract", salt, msgspec.json.encode(features)).hex()


def install(config: PartnerConfig, path: Path) -> SignedContract:
    """Put a contract in force: from then on its job is approved, under its clauses.

    Raises: RefusedError: as `Contracts.install`; or the table's columns are others than those that were committed to.
    """
    opened = read_contract(path)
    approval = _approval(config, opened)
    contract = contracts_of(config).install(path)
    open_budgets(config).close()  # books are there before the first approval, so that their loss is noticed
    with closing(open_approvals(config)) as approvals:
        approvals.keep(approval)
    return contract


def _approval(config: PartnerConfig, opened: Opened) -> Approval:
    """The approval that a contract stands for, with the features that its commitment covers."""
    contract, file = opened.contract, config.state / "contracts" / opened.contract.id / SALT
    found = approval_of(config, job_of(contract, config.party))
    salt = file.read_bytes() if file.is_file() else b""
    if commitment(salt, found.features) != opened.commitment:
        thing = "was completed for other columns than the table has now"
        raise refuse("contract", CLAUSE, thing, "complete the draft again, and let both sign it")
    return msgspec.structs.replace(
        contract.approval,
        features=found.features, features_sha256=found.features_sha256,
        approved=datetime.now(UTC).isoformat(timespec="seconds"), not_after=contract.not_after,
        uses=int(contract.clauses.trainings),
    )  # fmt: skip


def end(config: PartnerConfig, path: Path) -> str:
    """Enter a termination: the contract's job is refused from then on. Returns: the contract's id."""
    contracts = contracts_of(config)
    ending = contracts.end(path)
    opened = contracts.latest(ending.contract)
    assert opened is not None
    if contracts.ended(opened.contract) <= datetime.now(UTC):
        _withdraw_approval(config, opened.contract.approval.job)
    return ending.contract


def _withdraw_approval(config: PartnerConfig, job: str) -> None:
    with closing(open_approvals(config)) as approvals:
        if approvals.state_of(job) == "approved":
            approvals.withdraw(job)


def erase(config: PartnerConfig, contract: SignedContract) -> tuple[str, ...]:
    """Erase hints, pools, layouts and alignments, and the noise of all runs. Ledger and books stay.

    Raises: UsageError: another contract of this node is in force, whose things these are too.
    """
    now, contracts = datetime.now(UTC), contracts_of(config)
    others = [one for one in contracts.all() if one.contract.id != contract.id]
    if any(contracts.ended(one.contract) > now for one in others):
        thing = "has another contract in force, and the state folder holds what both need"
        raise UsageError(config.party, thing, "withdraw when the last one has ended")
    _withdraw_approval(config, contract.approval.job)
    erased = [name for name in _ERASED if (config.state / name).exists()]
    for name in erased:
        shutil.rmtree(config.state / name)
    with closing(open_budgets(config)) as budgets:
        budgets.close_runs()
    return (*erased, "noise of all runs")
