"""A contract: who must have signed it, when it holds, and what is refused by name."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.contract import Contract
from protocol.errors import RefusedError, UsageError
from protocol.job.approval import Approval
from protocol.job.workload import Workload
from protocol.signing.contract import (
    TERMINATION_TYPE,
    Ending,
    Purpose,
    SignedContract,
    read_contract,
    require_signed,
    seal,
    seal_ending,
)
from protocol.signing.envelope import Envelope
from protocol.signing.kept import Contracts, digest_of, write_envelope
from protocol.signing.keys import create_contract_key, load_contract_key, public_of
from protocol.signing.odrl import odrl_of
from protocol.signing.words import sentences

BANK, TELECOM, OTHER = (Ed25519PrivateKey.generate() for _ in range(3))
KEYS = {"bank": public_of(BANK), "telecom": public_of(TELECOM)}
NOW = datetime.now(UTC).replace(microsecond=0)


def contract(**changes) -> SignedContract:
    approval = Approval(
        bank="bank", partner="telecom", partners=("telecom",), job="a" * 64, name="job", columns=("calls",),
        features=(), features_sha256="0" * 64, workload=Workload(()), engine="blind", alignment="one-sided",
        split_rows="all", clauses={name: float(value) for name, value in Contract().clauses.items()},
        approved=NOW.isoformat(), not_after=(NOW + timedelta(days=365)).isoformat(), uses=2,
    )  # fmt: skip
    made = SignedContract(
        id="c" * 64, serial=1, purpose=Purpose("warning", "预警"), approval=approval,
        not_before=(NOW - timedelta(days=1)).isoformat(), not_after=approval.not_after,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def written(folder: Path, made: SignedContract, *keys: Ed25519PrivateKey, name: str = "contract.json") -> Path:
    envelope = seal(made, "d" * 64)
    for key in keys:
        envelope = envelope.signed(key)
    write_envelope(folder / name, envelope)
    return folder / name


def node(folder: Path, party: str = "bank") -> Contracts:
    return Contracts(folder / party, party, KEYS)


def test_both_have_signed(tmp_path):
    path = written(tmp_path, contract(), BANK, TELECOM)
    assert require_signed(read_contract(path), KEYS, path.name).serial == 1
    assert node(tmp_path).install(path).id == "c" * 64
    live = node(tmp_path).require("telecom", needed=True)
    assert live is not None
    assert live.contract == contract()


@pytest.mark.parametrize(
    ("keys", "who"), [((), "bank and telecom"), ((BANK,), "telecom"), ((TELECOM,), "bank"), ((BANK, OTHER), "telecom")]
)
def test_a_missing_signature_is_named(tmp_path, keys, who):
    path = written(tmp_path, contract(), *keys)
    with pytest.raises(RefusedError, match=f"no signature by the pinned contract key of {who}"):
        node(tmp_path).install(path)


def test_two_signatures_by_one_key_are_one(tmp_path):
    path = written(tmp_path, contract(), BANK)
    same = {"bank": KEYS["bank"], "telecom": KEYS["bank"]}
    with pytest.raises(RefusedError, match="one key for both parties"):
        require_signed(read_contract(path), same, path.name)


def test_a_key_that_is_not_pinned_is_refused(tmp_path):
    path = written(tmp_path, contract(), BANK, TELECOM)
    with pytest.raises(RefusedError, match="telecom, whose contract key is not pinned"):
        require_signed(read_contract(path), {"bank": KEYS["bank"]}, path.name)


def test_a_changed_byte_is_no_signed_contract(tmp_path):
    path = written(tmp_path, contract(), BANK, TELECOM)
    envelope = read_contract(path).envelope
    other = seal(contract(retention_days=9000), "d" * 64)
    write_envelope(path, Envelope(other.payload, envelope.signatures))
    with pytest.raises(RefusedError, match="no signature by the pinned contract key of bank and telecom"):
        node(tmp_path).install(path)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "contract.json"
    payload = seal(contract(), "d" * 64).payload.replace(b'"serial":1', b'"serial":1,"serial":2')
    write_envelope(path, Envelope(payload).signed(BANK).signed(TELECOM))
    with pytest.raises(RefusedError, match="says 'serial' twice"):
        node(tmp_path).install(path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"not_before": (NOW + timedelta(days=3)).isoformat()}, "is not in force before"),
        ({"not_after": (NOW - timedelta(hours=1)).isoformat()}, "was in force until"),
    ],
)
def test_outside_of_its_validity_it_is_refused(tmp_path, changes, why):
    with pytest.raises(RefusedError, match=why):
        node(tmp_path).install(written(tmp_path, contract(**changes), BANK, TELECOM))


def test_an_older_serial_is_refused_and_a_renewal_supersedes(tmp_path):
    here, first = node(tmp_path), written(tmp_path, contract(), BANK, TELECOM)
    here.install(first)
    with pytest.raises(RefusedError, match="has serial 1, and 1 is in force"):
        here.install(first)
    stray = written(tmp_path, contract(serial=2, supersedes="e" * 64), BANK, TELECOM, name="stray.json")
    with pytest.raises(RefusedError, match="supersedes another contract"):
        here.install(stray)
    latest = here.latest("c" * 64)
    assert latest is not None
    renewal = contract(serial=2, supersedes=digest_of(latest))
    here.install(written(tmp_path, renewal, BANK, TELECOM, name="renewal.json"))
    with pytest.raises(RefusedError, match="has serial 1, and 2 is in force"):
        here.install(first)


def test_a_second_contract_over_the_same_columns_is_refused(tmp_path):
    here = node(tmp_path)
    here.install(written(tmp_path, contract(), BANK, TELECOM))
    second = written(tmp_path, contract(id="e" * 64), BANK, TELECOM, name="second.json")
    with pytest.raises(RefusedError, match="covers columns that the contract cccccccccccc covers"):
        here.install(second)


def test_either_party_ends_it_and_nobody_else(tmp_path):
    here = node(tmp_path)
    here.install(written(tmp_path, contract(), BANK, TELECOM))
    ending, path = Ending("c" * 64, "telecom", NOW.isoformat()), tmp_path / "ending.json"
    for signer in (OTHER, BANK):  # the bank cannot end it in the partner's name
        write_envelope(path, seal_ending(ending, TERMINATION_TYPE).signed(signer))
        with pytest.raises(RefusedError, match="not signed by the pinned contract key of telecom"):
            here.end(path)
    assert here.require("telecom", needed=True) is not None
    write_envelope(path, seal_ending(ending, TERMINATION_TYPE).signed(TELECOM))
    here.end(path)
    with pytest.raises(RefusedError, match="the contract with telecom ended at"):
        here.require("telecom", needed=False)


def test_without_one_a_node_that_requires_one_refuses(tmp_path):
    assert node(tmp_path).require("telecom", needed=False) is None
    with pytest.raises(RefusedError, match="no contract with telecom is installed, and one is required"):
        node(tmp_path).require("telecom", needed=True)


def test_a_contract_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    public = create_contract_key(tmp_path / "identity")
    path = tmp_path / "identity" / "contract_key.pem"
    assert (path.stat().st_mode & 0o777, public_of(load_contract_key(path))) == (0o600, public)
    with pytest.raises(UsageError, match="is there already"):
        create_contract_key(tmp_path / "identity")
    with pytest.raises(UsageError, match="no key that can be read"):
        load_contract_key(tmp_path / "nothing.pem")


def test_what_is_no_contract_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(RefusedError, match=r"x\.json: is no contract"):
        read_contract(path)
    write_envelope(path, seal_ending(Ending("c" * 64, "bank", NOW.isoformat()), TERMINATION_TYPE))
    with pytest.raises(RefusedError, match="is no statement of type urn:fedwarn:contract:1"):
        read_contract(path)


def test_a_contract_in_words_and_in_odrl(tmp_path):
    opened = read_contract(written(tmp_path, contract(purpose=Purpose("warn\x1b[2J", "预警")), BANK))
    said = "\n".join(sentences(opened))
    assert "1 signature(s)" in said
    assert "\x1b" not in said
    view = json.loads(odrl_of(opened))
    assert view["uid"].endswith(":1")
    limits = {one["leftOperand"]: one["rightOperand"] for one in view["permission"][0]["constraint"]}
    assert limits["urn:fedwarn:clause:max_information_share"] == 0.2
