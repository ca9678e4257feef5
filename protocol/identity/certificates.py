"""Certificates: whom one names, and what is wrong with it.

A certificate names its party twice, in subject alternative names: the party's name itself, as a URI, and a DNS label
made from it, which TLS compares. Both sides pin the label of the name that they expect.

A demonstration certificate carries a marked extension, lasts 24 hours, and is refused by every node that was not
told `demo = true`.
"""

import hashlib
import re
import unicodedata
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from cryptography import x509

from protocol.errors import PeerError

DEMO: Final = x509.ObjectIdentifier("2.25.4613830733700423349425969315522998734")
"""The extension that marks a demonstration certificate; the arc of a UUID drawn for it."""

_URI: Final = "urn:fedwarn:party:"


def dns_label(party: str) -> str:
    """The DNS label of a party's name, whatever its words: a readable part and 80 bits of SHA-256 of the name."""
    name = unicodedata.normalize("NFC", party)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-") or "party"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def names_of(party: str) -> x509.SubjectAlternativeName:
    """The alternative names of a party's certificate."""
    uri = _URI + quote(unicodedata.normalize("NFC", party), safe="")
    return x509.SubjectAlternativeName([x509.DNSName(dns_label(party)), x509.UniformResourceIdentifier(uri)])


def party_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str | None:
    """The party that a certificate names; None if it is none of ours or its two names differ."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    parties = [unquote(uri.removeprefix(_URI)) for uri in uris if uri.startswith(_URI)]
    named = len(parties) == 1 and names.get_values_for_type(x509.DNSName) == [dns_label(parties[0])]
    return parties[0] if named else None


def same_party(one: str, other: str) -> bool:
    """Whether two names are the same party's, however their accents are encoded."""
    return dns_label(one) == dns_label(other)


def issuer_of(certificate: x509.Certificate) -> str:
    """The key identifier of the authority that signed a certificate, hex; "" if it does not say."""
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return ""
    return (issuer.key_identifier or b"").hex()


def is_demo(certificate: x509.Certificate) -> bool:
    """Whether a certificate is marked as one for demonstrations."""
    return any(extension.oid == DEMO for extension in certificate.extensions)


def refuse_demo(party: str, certificate: x509.Certificate) -> None:
    """Raises: PeerError: it is a demonstration certificate. For nodes that were not told `demo = true`."""
    if is_demo(certificate):
        raise PeerError(
            party,
            "shows a certificate made for demonstrations",
            "issue real ones with the `keys` verb, or set `demo = true` where nothing is at stake",
        )


def refuse_expired(party: str, certificate: x509.Certificate, now: datetime | None = None) -> None:
    """Raises: PeerError: the certificate is not valid yet, or no longer."""
    now = now or datetime.now(UTC)
    if now >= certificate.not_valid_after_utc:
        thing = f"its certificate expired on {_day(certificate.not_valid_after_utc)}"
        raise PeerError(party, thing, "issue a new one with the `keys` verb")
    if now < certificate.not_valid_before_utc:
        thing = f"its certificate is not valid before {_day(certificate.not_valid_before_utc)}"
        raise PeerError(party, thing, "set this machine's clock right, or wait")


def refuse_other(party: str, certificate: x509.Certificate, authority: x509.Certificate) -> None:
    """Raises: PeerError: the certificate is signed by another authority, or names another party."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # a wrong issuer, key type or signature: the library has an error for each
        thing = "its certificate is signed by another authority than the ca.pem of this node"
        raise PeerError(party, thing, "let both sides use certificates of one authority") from None
    named = party_of(certificate)
    if named is None or not same_party(named, party):
        thing = f"its certificate names another party, {named!r}"
        raise PeerError(party, thing, "correct the party's name or its address, or issue a certificate in its name")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
