"""A DSSE envelope: a payload, its type, and signatures over both.

A signature covers the pre-authentication encoding, "DSSEv1" and the lengths and bytes of type and payload, so that
bytes of another type are another message. Key ids in an envelope are a hint that anybody may write: which key must have
signed, the verifier says.

Source: the DSSE specification, secure-systems-lab/dsse, protocol.md and envelope.md.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MOST_BYTES: Final = 8 << 20
"""Of an envelope; a contract over 7,000 columns takes a tenth of it."""


class NotAnEnvelope(ValueError):
    """The text is no envelope, or one that says a thing twice."""


@dataclass(frozen=True)
class Envelope:
    """payload: the bytes that are signed. signatures: as they stand in the file, each of 64 bytes."""

    payload: bytes
    signatures: tuple[bytes, ...] = ()
    payload_type: str = PAYLOAD_TYPE

    def signed(self, key: Ed25519PrivateKey) -> "Envelope":
        """The same with one signature more; a key that has signed already adds none."""
        mine = key.sign(self.encoding)
        return self if mine in self.signatures else Envelope(self.payload, (*self.signatures, mine), self.payload_type)

    def signers(self, keys: Mapping[str, str]) -> set[str]:
        """Which of these parties have signed. keys: by party, its public key, 64 hexadecimal digits."""
        return {party for party, key in keys.items() if any(self._is_by(key, one) for one in self.signatures)}

    @property
    def encoding(self) -> bytes:
        """What a signature covers."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def _is_by(self, key: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, self.encoding)
        except (InvalidSignature, ValueError):
            return False
        return True

    def to_json(self) -> str:
        """The envelope as a file has it."""
        signatures = [{"sig": base64.b64encode(one).decode()} for one in self.signatures]
        payload = base64.b64encode(self.payload).decode()
        values = {"payload": payload, "payloadType": self.payload_type, "signatures": signatures}
        return json.dumps(values, indent=2) + "\n"


def read_envelope(text: bytes) -> Envelope:
    """Read an envelope. Raises: NotAnEnvelope."""
    if len(text) > MOST_BYTES:
        raise NotAnEnvelope("it is larger than any contract")
    found = strict_json(text)
    try:
        signatures = tuple(_decoded(one["sig"]) for one in found["signatures"])
        payload, kind = _decoded(found["payload"]), found["payloadType"]
    except (KeyError, TypeError):
        raise NotAnEnvelope("it has no payload, payloadType and signatures") from None
    if not isinstance(kind, str) or len(signatures) > 16:
        raise NotAnEnvelope("its payloadType is no text, or it has more than 16 signatures")
    return Envelope(payload, signatures, kind)


def strict_json(text: bytes) -> Any:
    """JSON in which no key stands twice, and every number is finite. Raises: NotAnEnvelope."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
            raise NotAnEnvelope(f"it says {twice[:40]!r} twice")
        return found

    def number(name: str) -> float:
        raise NotAnEnvelope(f"{name} is no number of a contract")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=number)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, NotAnEnvelope) else NotAnEnvelope("it is not JSON") from None


def _decoded(text: str) -> bytes:
    """Base64, of the usual or the URL-safe alphabet, with its padding."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError, AttributeError):
        raise NotAnEnvelope("a part of it is not base64") from None
