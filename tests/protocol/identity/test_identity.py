"""Identities: made without a key ever travelling, bound to a party's name, and refused by name when wrong."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import PeerError, UsageError
from protocol.identity import create_demo_identities, create_key_and_csr, describe, install, load_identity
from protocol.identity.authority import create_authority, sign
from protocol.identity.certificates import DEMO, dns_label, is_demo, names_of, party_of, refuse_expired, same_party

_DER, _PEM = Encoding.DER, Encoding.PEM
PARTIES = ["telecom", "real estate", "税务局", "Büro für Daten", "a" * 200, "../../etc", "a,b;c=d"]


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    create_authority(tmp_path / "ca", clock=lambda: datetime.now(UTC) - timedelta(days=500))
    return tmp_path / "ca"


def identity(authority: Path, folder: Path, party: str, days_ago: float = 0) -> Path:
    request = create_key_and_csr(folder, party).read_bytes()
    pem = sign(authority, request, party, clock=lambda: datetime.now(UTC) - timedelta(days=days_ago))
    install(folder, pem, (authority / "ca.pem").read_bytes())
    return folder


@pytest.mark.parametrize("party", PARTIES)
def test_an_identity_of_any_name(authority: Path, tmp_path: Path, party: str) -> None:
    tls = load_identity(identity(authority, tmp_path / "own", party), party)
    certificate = tls.certificate
    assert party_of(certificate) == party
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    about = describe(tls.cert_pem)
    assert (about["party"], about["demo"], about["name"]) == (party, False, dns_label(party))
    left = datetime.fromisoformat(about["not_after"]) - datetime.now(UTC)
    assert timedelta(days=364) < left < timedelta(days=366)


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_labels_are_dns_labels_and_tell_names_apart(one: str, other: str) -> None:
    label = dns_label(one)
    assert 20 < len(label) <= 63
    assert label.isascii()
    assert not set(label) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert label[0] != "-"
    assert same_party(one, other) == (names_of(one) == names_of(other))


def test_accents_in_either_encoding_are_one_name() -> None:
    assert same_party("Bu\u0308ro", "B\u00fcro")
    assert not same_party("real estate", "real-estate")
    assert dns_label("real estate").startswith("real-estate-")


def test_files_are_for_the_owner_alone_and_no_repr_shows_a_key(authority: Path, tmp_path: Path) -> None:
    folder = identity(authority, tmp_path / "own", "telecom")
    for path in (folder, authority):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (folder / "key.pem", authority / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(load_identity(folder, "telecom"))
    assert b"PRIVATE" not in (folder / "request.csr").read_bytes() + (folder / "cert.pem").read_bytes()


def test_nothing_is_made_twice(authority: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is one in"):
        create_authority(authority)
    folder = identity(authority, tmp_path / "own", "telecom")
    with pytest.raises(UsageError, match=r"there is a key\.pem"):
        create_key_and_csr(folder, "telecom")


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_missing_and_damaged_files(authority: Path, tmp_path: Path, name: str) -> None:
    folder = identity(authority, tmp_path / "own", "telecom")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-100])
    with pytest.raises(UsageError, match=r"telecom: a file in .* is not unencrypted PEM"):
        load_identity(folder, "telecom")
    (folder / name).unlink()
    with pytest.raises(UsageError, match=f"telecom: there is no {name}"):
        load_identity(folder, "telecom")


def test_a_key_of_another_certificate(authority: Path, tmp_path: Path) -> None:
    one = identity(authority, tmp_path / "one", "telecom")
    two = identity(authority, tmp_path / "two", "telecom")
    (one / "key.pem").write_bytes((two / "key.pem").read_bytes())
    with pytest.raises(UsageError, match="do not belong together"):
        load_identity(one, "telecom")


def test_an_identity_that_is_expired_of_another_party_or_authority(authority: Path, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"telecom: its certificate expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC"):
        load_identity(identity(authority, tmp_path / "old", "telecom", days_ago=400), "telecom")
    folder = identity(authority, tmp_path / "own", "telecom")
    with pytest.raises(PeerError, match="names another party, 'telecom'"):
        load_identity(folder, "bureau")
    create_authority(tmp_path / "other")
    (folder / "ca.pem").write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
    with pytest.raises(PeerError, match="signed by another authority"):
        load_identity(folder, "telecom")


def test_a_certificate_is_valid_from_its_first_minute_to_its_last(authority: Path, tmp_path: Path) -> None:
    certificate = load_identity(identity(authority, tmp_path / "own", "telecom"), "telecom").certificate
    second = timedelta(seconds=1)
    refuse_expired("telecom", certificate, certificate.not_valid_before_utc)
    refuse_expired("telecom", certificate, certificate.not_valid_after_utc - second)
    with pytest.raises(PeerError, match="expired"):
        refuse_expired("telecom", certificate, certificate.not_valid_after_utc)
    with pytest.raises(PeerError, match="not valid before"):
        refuse_expired("telecom", certificate, certificate.not_valid_before_utc - second)


def test_demonstration_identities_are_marked_short_and_refused_elsewhere(tmp_path: Path) -> None:
    folders = {party: tmp_path / str(k) for k, party in enumerate(("bank", "税务局"))}
    create_demo_identities(tmp_path / "ca", folders)
    for party, folder in folders.items():
        tls = load_identity(folder, party, demo=True)
        assert is_demo(tls.certificate)
        assert is_demo(tls.authority)
        assert tls.certificate.not_valid_after_utc <= datetime.now(UTC) + timedelta(hours=24)
        assert describe(tls.cert_pem)["demo"] is True
        with pytest.raises(PeerError, match=f"{party}: shows a certificate made for demonstrations") as caught:
            load_identity(folder, party)
        assert caught.value.exit_code == 4
    assert DEMO.dotted_string.startswith("2.25.")


def test_an_authority_signs_only_the_name_it_knows_and_an_undamaged_request(authority: Path, tmp_path: Path) -> None:
    request = create_key_and_csr(tmp_path / "own", "telecom").read_bytes()
    with pytest.raises(PeerError, match="bank: its signing request names another party, 'telecom'"):
        sign(authority, request, "bank")
    with pytest.raises(PeerError, match="is not PEM"):
        sign(authority, request[:-80], "telecom")
    with pytest.raises(UsageError, match="there is none in"):
        sign(tmp_path / "nowhere", request, "telecom")


def test_a_request_that_its_key_did_not_sign(authority: Path, tmp_path: Path) -> None:
    asked = x509.load_pem_x509_csr(create_key_and_csr(tmp_path / "own", "telecom").read_bytes())
    damaged = bytearray(asked.public_bytes(encoding=_DER))
    at = bytes(damaged).index(asked.tbs_certrequest_bytes) + asked.tbs_certrequest_bytes.index(b"telecom-")
    damaged[at : at + 8] = b"telecon-"
    pem = x509.load_der_x509_csr(bytes(damaged)).public_bytes(_PEM)
    with pytest.raises(PeerError, match="damaged"):
        sign(authority, pem, "telecom")


def test_a_certificate_never_outlives_its_authority(tmp_path: Path) -> None:
    create_authority(tmp_path / "ca", clock=lambda: datetime.now(UTC) - timedelta(days=3600))
    folder = identity(tmp_path / "ca", tmp_path / "own", "telecom")
    tls = load_identity(folder, "telecom")
    assert tls.certificate.not_valid_after_utc == tls.authority.not_valid_after_utc
