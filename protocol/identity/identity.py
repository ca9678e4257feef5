"""Identities: what a node proves itself with, read and checked before anything is said.

A node's folder holds `ca.pem` (the authority that both sides trust), `cert.pem` and `key.pem`. Keys never travel: a
node makes its key and a request (`create_key_and_csr`), the authority signs the request for the party it knows to
have sent it (protocol/identity/authority.py), and the certificate goes back with the authority's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from protocol.errors import UsageError
from protocol.files import own_folder, write_whole
from protocol.identity.authority import CA_FILE, create_authority, pem_of, sign, subject
from protocol.identity.certificates import (
    dns_label,
    is_demo,
    issuer_of,
    names_of,
    party_of,
    refuse_demo,
    refuse_expired,
    refuse_other,
)

CERT_FILE: Final = "cert.pem"
KEY_FILE: Final = "key.pem"
REQUEST_FILE: Final = "request.csr"


@dataclass(frozen=True)
class TlsMaterial:
    """What a node proves itself with, in PEM. folder: where it was read from. demo: whether demonstration
    certificates are accepted."""

    party: str
    folder: Path
    demo: bool
    ca_pem: bytes = field(repr=False)
    cert_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)

    @property
    def authority(self) -> x509.Certificate:
        """The authority that this node trusts."""
        return x509.load_pem_x509_certificate(self.ca_pem)

    @property
    def certificate(self) -> x509.Certificate:
        """The node's own."""
        return x509.load_pem_x509_certificate(self.cert_pem)


class Described(TypedDict):
    """A certificate, for a human. Times in UTC, ISO 8601. authority: key identifier of the issuer, hex."""

    party: str
    name: str
    not_before: str
    not_after: str
    demo: bool
    authority: str


def load_identity(folder: Path, party: str, demo: bool = False) -> TlsMaterial:
    """A node's identity, checked: complete, its own, in date, of its authority, and no demonstration's unless `demo`.

    Raises: UsageError: a file is missing or unreadable, or key and certificate do not belong together.
        PeerError: the certificate is expired, another party's or authority's, or a demonstration's.
    """
    ca, cert, key = (_read(folder, name, party) for name in (CA_FILE, CERT_FILE, KEY_FILE))
    tls = TlsMaterial(party, folder, demo, ca, cert, key)
    _check_readable(tls)
    refuse_expired(party, tls.authority)
    refuse_expired(party, tls.certificate)
    refuse_other(party, tls.certificate, tls.authority)
    if not demo:
        refuse_demo(party, tls.authority)
        refuse_demo(party, tls.certificate)
    return tls


def describe(cert_pem: bytes) -> Described:
    """What a node's certificate says."""
    certificate = x509.load_pem_x509_certificate(cert_pem)
    party = party_of(certificate) or ""
    return Described(
        party=party,
        name=dns_label(party),
        not_before=certificate.not_valid_before_utc.isoformat(),
        not_after=certificate.not_valid_after_utc.isoformat(),
        demo=is_demo(certificate),
        authority=issuer_of(certificate),
    )


def create_key_and_csr(folder: Path, party: str) -> Path:
    """Make a node's key, and a signing request in the party's name: the file to send to the authority.

    Raises: UsageError: there is a key already, or the folder cannot be written.
    """
    own_folder(folder)
    if (folder / KEY_FILE).exists():
        raise UsageError(party, f"there is a {KEY_FILE} in {folder} already", "name another folder or remove the key")
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject(party))
        .add_extension(names_of(party), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    write_whole(folder / KEY_FILE, pem_of(key))
    write_whole(folder / REQUEST_FILE, request)
    return folder / REQUEST_FILE


def install(folder: Path, certificate: bytes, authority: bytes) -> None:
    """Put a signed certificate, and the authority's own, beside the key. Both in PEM."""
    write_whole(own_folder(folder) / CERT_FILE, certificate)
    write_whole(folder / CA_FILE, authority)


def create_demo_identities(authority: Path, folders: Mapping[str, Path]) -> None:
    """A demonstration authority, and an identity from it in the folder of each party; all for 24 hours.

    Raises: UsageError: there is an authority or a key already, or a folder cannot be written.
    """
    create_authority(authority, demo=True)
    for party, folder in folders.items():
        request = create_key_and_csr(folder, party).read_bytes()
        install(folder, sign(authority, request, party), (authority / CA_FILE).read_bytes())


def _read(folder: Path, name: str, party: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError:
        raise UsageError(
            party, f"there is no {name} in its identity folder {folder}", "make one with the `keys` verb"
        ) from None


def _check_readable(tls: TlsMaterial) -> None:
    """Raises: UsageError: a file is not what its name says, or the key is another certificate's."""
    try:
        _ = tls.authority, tls.certificate
        key = load_pem_private_key(tls.key_pem, None)
    except (ValueError, TypeError):
        raise UsageError(
            tls.party, f"a file in {tls.folder} is not unencrypted PEM", "make a new identity with the `keys` verb"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != tls.certificate.public_key():
        raise UsageError(
            tls.party, f"{KEY_FILE} and {CERT_FILE} in {tls.folder} do not belong together", "sign its request again"
        )
