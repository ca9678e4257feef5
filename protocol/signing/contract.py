"""The contract of a bank and one partner: the one source of the clauses between two companies.

    contract draft JOB           bank      what is to be trained, for what purpose, how long
     |  a draft
    contract complete DRAFT      partner   its columns, sealed by a commitment, and the clauses that it proposes
     |  an envelope, unsigned
    contract sign FILE           either    one signature by each party's contract key
    contract install FILE        either    puts it in force at the node

A file is a DSSE envelope over an in-toto statement. Its subject is a commitment to the partner's columns under a salt
that stays with the partner, since a plain digest of names can be guessed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from protocol.contract import Contract, refuse
from protocol.errors import RefusedError, UsageError
from protocol.job import Title
from protocol.job.approval import Approval
from protocol.signing.envelope import PAYLOAD_TYPE, Envelope, NotAnEnvelope, read_envelope, strict_json

STATEMENT: Final = "https://in-toto.io/Statement/v1"
CONTRACT_TYPE: Final = "urn:fedwarn:contract:1"
TERMINATION_TYPE: Final = "urn:fedwarn:termination:1"
WITHDRAWAL_TYPE: Final = "urn:fedwarn:withdrawal:1"
SUITE: Final = "RLWE 4096/104 and 8192/208, ristretto255-SHA512, X25519, Ed25519, SHA-256"
CLAUSE: Final = "contract"


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the data may be used for, in both languages."""

    en: str
    zh: str


def purpose_of(pairs: Sequence[str], title: Title) -> Purpose:
    """A purpose from en=TEXT and zh=TEXT; of the job's title where one is not given. Raises: UsageError."""
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := [key for key in found if key not in ("en", "zh") or not found[key]]:
        raise UsageError("--purpose", f"{unknown[0]!r} is no en=TEXT or zh=TEXT", "give both languages")
    return Purpose(found.get("en", title.en), found.get("zh", title.zh))


class SignedContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both parties sign.

    id: of the cooperation, the same in its renewals. serial: 1, 2, ...; supersedes: digest of the one before, or "".
    approval: of the job, with its plan, settings and clauses; it names no feature of the partner.
    authorities: by party, the issuer of its node's certificate, SHA-256. not_before, not_after: UTC, ISO 8601.
    readable_share: what a bank that lies could read at worst by this contract. words: what that means, for a lawyer.
    job_file: the job's file, as TOML.
    retention_days: known bits are erased so many days after the end. known_bits_use: what they may be used for.
    """

    id: str
    serial: int
    supersedes: str = ""
    purpose: Purpose
    approval: Approval
    not_before: str
    not_after: str
    authorities: dict[str, str] = {}
    readable_share: float = 1.0
    words: Purpose = Purpose("", "")
    suite: str = SUITE
    retention_days: int = 90
    audit_days: int = 90
    known_bits_use: str = "train and score models for the purpose"
    auditor: str = ""
    job_file: str = ""

    @property
    def parties(self) -> tuple[str, str]:
        """The bank, and the partner."""
        return self.approval.bank, self.approval.partner

    @property
    def clauses(self) -> Contract:
        """The clauses that it fixes."""
        return Contract.model_validate(self.approval.clauses)

    def when(self, now: datetime | None = None) -> Literal["early", "in force", "over"]:
        """Where a moment lies, now if none is given."""
        moment = now or datetime.now(UTC)
        if moment < datetime.fromisoformat(self.not_before):
            return "early"
        return "in force" if moment < datetime.fromisoformat(self.not_after) else "over"


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One party ends a contract, or withdraws what it gave. contract: its id. effective: UTC, ISO 8601."""

    contract: str
    party: str
    effective: str
    erased: tuple[str, ...] = ()


def seal(contract: SignedContract, commitment: str) -> Envelope:
    """The contract as an envelope without signatures. commitment: to the partner's columns, hex."""
    return _envelope(CONTRACT_TYPE, {"name": "columns", "digest": {"sha256": commitment}}, contract)


def seal_ending(ending: Ending, kind: str) -> Envelope:
    """A termination or withdrawal as an envelope. kind: its predicate type."""
    return _envelope(kind, {"name": "contract", "digest": {"sha256": ending.contract}}, ending)


def _envelope(kind: str, subject: dict[str, Any], predicate: SignedContract | Ending) -> Envelope:
    statement = {
        "_type": STATEMENT,
        "subject": [subject],
        "predicateType": kind,
        "predicate": msgspec.to_builtins(predicate),
    }
    return Envelope(json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


class Opened(msgspec.Struct, frozen=True):
    """An envelope that was read: the contract, what commits to its columns, and the envelope itself."""

    contract: SignedContract
    commitment: str
    envelope: Envelope


def read_contract(path: Path) -> Opened:
    """Read a contract, signed or not. Raises: UsageError: the file is not there. RefusedError: it is no contract."""
    envelope = _read(path)
    found = _statement(path.name, envelope, CONTRACT_TYPE)
    try:
        contract = msgspec.convert(found["predicate"], SignedContract)
        commitment = found["subject"][0]["digest"]["sha256"]
        Contract.model_validate(contract.approval.clauses)
        datetime.fromisoformat(contract.not_before), datetime.fromisoformat(contract.not_after)
    except (msgspec.ValidationError, ValueError, LookupError, TypeError):
        raise _refused(path.name, "is no contract of this version", "draft it again") from None
    return Opened(contract, str(commitment), envelope)


def read_ending(path: Path, kind: str) -> tuple[Ending, Envelope]:
    """Read a termination or withdrawal. Raises: UsageError, RefusedError."""
    envelope = _read(path)
    try:
        return msgspec.convert(_statement(path.name, envelope, kind)["predicate"], Ending), envelope
    except msgspec.ValidationError:
        raise _refused(path.name, "is no statement of this version", "ask for it again") from None


def require_signed(opened: Opened, keys: Mapping[str, str], name: str, now: datetime | None = None) -> SignedContract:
    """The contract, once both parties have signed it and it is in force.

    keys: pinned, by party. Raises: RefusedError: a key is not pinned or the same for both, a signature is missing, or
    the moment lies outside of its validity.
    """
    contract = opened.contract
    pins = pinned(contract, keys, name)
    missing = [party for party in contract.parties if party not in opened.envelope.signers(pins)]
    if missing:
        thing = f"has no signature by the pinned contract key of {' and '.join(missing)}"
        raise _refused(name, thing, f"let {missing[0]} sign it, or compare the key that is pinned")
    when = contract.when(now)
    if when == "early":
        raise _refused(name, f"is not in force before {contract.not_before}", "wait, or sign an earlier one")
    if when == "over":
        raise _refused(name, f"was in force until {contract.not_after}", "draft its renewal, and sign that")
    return contract


def pinned(contract: SignedContract, keys: Mapping[str, str], name: str) -> dict[str, str]:
    """The pinned keys of a contract's parties. Raises: RefusedError: one is not pinned, or both are one key."""
    absent = [party for party in contract.parties if party not in keys]
    if absent:
        remedy = f"ask {absent[0]} for its public key by another way, and set it under [contract_keys] of node.toml"
        raise _refused(name, f"is of {absent[0]}, whose contract key is not pinned", remedy)
    pins = {party: keys[party].lower() for party in contract.parties}
    if len(set(pins.values())) < len(pins):
        raise _refused(name, "would be signed by one key for both parties", "pin each party's own key")
    return pins


def _read(path: Path) -> Envelope:
    try:
        envelope = read_envelope(path.read_bytes())
    except OSError:
        raise UsageError("contract", f"{path} is not there, or cannot be read", "correct the path") from None
    except NotAnEnvelope as error:
        raise _refused(path.name, f"is no contract: {error}", "ask for the file again") from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise _refused(path.name, f"holds {envelope.payload_type[:60]!r}", f"a contract holds {PAYLOAD_TYPE}")
    return envelope


def _statement(name: str, envelope: Envelope, kind: str) -> dict[str, Any]:
    try:
        found = strict_json(envelope.payload)
    except NotAnEnvelope as error:
        raise _refused(name, f"is no contract: {error}", "ask for the file again") from None
    if not isinstance(found, dict) or found.get("_type") != STATEMENT or found.get("predicateType") != kind:
        raise _refused(name, f"is no statement of type {kind}", "name another file")
    return found


def _refused(name: str, thing: str, remedy: str) -> RefusedError:
    return refuse(name, CLAUSE, thing, remedy)
