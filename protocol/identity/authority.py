"""The authority that signs the certificates of nodes.

It never sees a node's key: it signs the request of a party it knows, under the name by which it knows it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import PeerError, UsageError
from protocol.files import own_folder, write_whole
from protocol.identity.certificates import DEMO, dns_label, is_demo, names_of, party_of, same_party

CA_FILE: Final = "ca.pem"
CA_KEY_FILE: Final = "ca.key"
AUTHORITY_LASTS: Final = timedelta(days=3650)
CERTIFICATE_LASTS: Final = timedelta(days=365)
DEMO_LASTS: Final = timedelta(hours=24)
_CLOCK_SKEW: Final = timedelta(minutes=5)

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def create_authority(folder: Path, demo: bool = False, clock: Clock = _now) -> None:
    """Make an authority: ca.pem, to give to all nodes, and ca.key, to keep. demo: mark it, for 24 hours.

    Raises: UsageError: there is one already, or the folder cannot be written.
    """
    own_folder(folder)
    if (folder / CA_KEY_FILE).exists():
        raise UsageError("authority", f"there is one in {folder} already", "name another folder")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"fedwarn {'demonstration ' * demo}authority")])
    lasts = DEMO_LASTS if demo else AUTHORITY_LASTS
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _unsigned(name, name, key.public_key(), clock(), clock() + lasts, demo)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(public), critical=False)
    )
    write_whole(folder / CA_KEY_FILE, pem_of(key))
    write_whole(folder / CA_FILE, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def sign(authority: Path, request: bytes, party: str, clock: Clock = _now) -> bytes:
    """A certificate, in PEM, for the party that is known to have sent this request.

    A demonstration authority gives demonstration certificates. Only the key and the name are taken from the request.

    Raises: UsageError: there is no authority in that folder. PeerError: the request is damaged or another party's.
    """
    issuer, key = _load_authority(authority)
    asked = _load_request(request, party)
    demo = is_demo(issuer)
    until = min(clock() + (DEMO_LASTS if demo else CERTIFICATE_LASTS), issuer.not_valid_after_utc)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _unsigned(subject(party), issuer.subject, asked, clock(), until, demo)
        .add_extension(names_of(party), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
    demo: bool,
) -> x509.CertificateBuilder:
    """What all certificates have."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    mark = x509.UnrecognizedExtension(DEMO, b"\x05\x00")  # the DER of NULL: that it is there says it all
    return builder.add_extension(mark, critical=False) if demo else builder


def subject(party: str) -> x509.Name:
    """Of a party's certificate; what counts are its alternative names."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_label(party))])


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        key = load_pem_private_key((folder / CA_KEY_FILE).read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise UsageError("authority", f"there is none in {folder}", "make one with the `keys` verb") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError("authority", f"{CA_KEY_FILE} in {folder} is of another kind", "make a new authority")
    return certificate, key


def _load_request(request: bytes, party: str) -> ec.EllipticCurvePublicKey:
    """The key that a request is for. Raises: PeerError."""
    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError:
        raise PeerError(party, "its signing request is not PEM", "ask for its request again") from None
    key, named = asked.public_key(), party_of(asked)
    if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise PeerError(party, "its signing request is damaged", "ask for its request again")
    if named is None or not same_party(named, party):
        raise PeerError(
            party, f"its signing request names another party, {named!r}", "sign it under that name, if at all"
        )
    return key


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PKCS #8, unencrypted: the file's mode guards it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
