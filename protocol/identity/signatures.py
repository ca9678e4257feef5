"""Signatures by a node's identity: what a party says to another one through a third, who could say it in its name."""

import hashlib
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from protocol.errors import PeerError
from protocol.identity.certificates import refuse_demo, refuse_expired, refuse_other
from protocol.identity.identity import TlsMaterial

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


def signature_of(identity: TlsMaterial, content: bytes) -> bytes:
    """ECDSA with SHA-256, by the key of the node's certificate."""
    return _private(identity.key_pem).sign(content, _ALGORITHM)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256, in hexadecimal, of a public key (SubjectPublicKeyInfo, DER): the same in every certificate of it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def fingerprint_of_key(key_pem: bytes) -> str:
    """That of a node's own key, in PEM."""
    return fingerprint(_private(key_pem).public_key())


def require_signed(
    identity: TlsMaterial, party: str, certificate: bytes, content: bytes, signature: bytes, pinned: str = ""
) -> None:
    """The content is the party's own. identity: of the node that checks. pinned: fingerprint of the party's key, or "".

    Raises: PeerError: the certificate is another's, expired, a demonstration's where none are accepted, or of another
    key than pinned; or the signature is not by its key.
    """
    try:
        shown = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        raise PeerError(party, "shows no certificate that can be read", "run the same version on all nodes") from None
    refuse_expired(party, shown)
    refuse_other(party, shown, identity.authority)
    if not identity.demo:
        refuse_demo(party, shown)
    key = shown.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise PeerError(party, "shows a certificate of another kind", "issue one with the `keys` verb")
    if pinned and fingerprint(key) != pinned.lower():
        raise PeerError(
            party, "shows another key than [peers] pins", "ask it for its key's fingerprint, and correct it"
        )
    try:
        key.verify(signature, content, _ALGORITHM)
    except InvalidSignature:
        raise PeerError(party, "has not signed what is said in its name", "ask the bank who passed it on") from None


def _private(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A node's own key, as it was made or checked when the node started."""
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
