"""Masks between partners: the bank reads the sum of their vectors, and no single one.

    bank                                              partner A                        partner B
     |-- MaskKeyQuery (job or model, partners) ------->|  draws a key pair, signs ...    (asked the same)
     |<- MaskKey (public key, signature, certificate) -|
     |-- PeerKeys (those of the others) -------------->|  checks them, and agrees on a secret with each
     |<- MasksAgreed ----------------------------------|
     |   for every vector: a label, the same to all
     |<- its vector + mask(A, B) ----------------------|
     |<- its vector - mask(A, B) ----------------------------------------------------------|
     |   adds up: the masks are gone

All are whole numbers modulo 2^64. A mask is a stream of AES-256-CTR under a key that both partners derive from their
secret and the label; the partner whose name comes first adds it, the other one takes it away. The bank carries the
messages and learns no secret: keys are fresh for each job and set of partners, agreed on by X25519, and signed with the
key of the certificate by which the bank, too, knows the partner. A partner checks the others' certificates against the
authority that it trusts, and against the keys that its `[peers]` pin, if it pins some.

What each learns beyond the sum: partners, who the others are, their certificates, and the names of their alignments.
The bank, nothing. Rows of which all partners but one tell that they do not hold them are not hidden: the others' parts
of these are 0. Whoever issues certificates could pose as a partner where none are pinned; partners that help the bank
give it their masks, and so can one partner of two give the other's vector.

Source: Bonawitz et al., Practical Secure Aggregation, CCS 2017, sec. 4.0.1 (masks without recovery from dropped users).
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from protocol.fields import Digest, Name, require_names
from protocol.he.streams import derive, digest, words
from protocol.messages import I64, U64, Message, declared

PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(max_length=256)]
Certificate = Annotated[bytes, Meta(max_length=20_000)]
FEWEST: Final = 2
"""Partners that a sum hides anything among."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One partner of a sum, and the alignment by which its vectors are ordered."""

    party: Name
    alignment: Digest

    def __post_init__(self) -> None:
        require_names(self.party)


@declared(
    "masks.key_query",
    content="digest of the job or model; the partners whose vectors are to be added up, and names of their alignments",
    purpose="hide each partner's scores in their sum",
)
class MaskKeyQuery(Message, frozen=True):
    """subject: digest of the job, or of the model to score by. members: in order of their names."""

    subject: Digest
    members: Annotated[tuple[Member, ...], Meta(max_length=64)]


@declared(
    "masks.key",
    content="a fresh public key, signed; the certificate to check it by",
    purpose="hide each partner's scores in their sum",
)
class MaskKey(Message, frozen=True):
    """public: X25519, 32 bytes. signature: ECDSA over `to_sign`. certificate: in PEM."""

    public: PublicKey
    signature: Signature
    certificate: Certificate


class PeerKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `MaskKey` as the bank passes it on."""

    party: Name
    public: PublicKey
    signature: Signature
    certificate: Certificate

    def __post_init__(self) -> None:
        require_names(self.party)


@declared(
    "masks.peer_keys",
    content="the other partners' public keys, signatures and certificates",
    purpose="hide each partner's scores in their sum",
    most_bytes=1 << 21,
)
class PeerKeys(Message, frozen=True):
    """Of all members but the one that is told. group: `name` of the subject and members."""

    group: Digest
    keys: Annotated[tuple[PeerKey, ...], Meta(max_length=64)]


@declared("masks.agreed", content="an acknowledgement", purpose="hide each partner's scores in their sum")
class MasksAgreed(Message, frozen=True):
    """The partner has a secret with each of the others."""

    group: Digest


def name(bank: str, subject: str, members: Sequence[Member]) -> str:
    """The name of a set of partners that add up vectors for one job or model: SHA-256 in hexadecimal."""
    named = [part.encode() for member in members for part in (member.party, member.alignment)]
    return digest(b"fedwarn.v1 masks", bank.encode(), subject.encode(), *named).hex()


def to_sign(group: str, party: str, public: bytes) -> bytes:
    """What a partner signs: this key is mine, for this job, these partners and alignments."""
    return b"fedwarn.v1 mask key " + digest(group.encode(), party.encode(), public)


def pair_secret(shared: bytes, group: str, parties: Sequence[str]) -> bytes:
    """The secret of two partners, the same for both. shared: of X25519."""
    return derive(shared, "mask of a pair", group.encode(), *(party.encode() for party in sorted(parties)))


def masked(vector: I64, party: str, secrets: dict[str, bytes], label: str) -> U64:
    """The vector under the masks with all others, shape as it, modulo 2^64. secrets: by partner."""
    out = vector.astype(np.uint64)
    for other, secret in secrets.items():
        mask = words(derive(secret, "mask", label.encode()), len(out))
        out = out + mask if party < other else out - mask
    return np.asarray(out)


def opened(vectors: Sequence[U64]) -> I64:
    """The sum of all members' vectors, whose masks cancel; what is left is a whole number with a sign."""
    return np.asarray(np.add.reduce([np.asarray(v, dtype=np.uint64) for v in vectors]).astype(np.uint64).view(np.int64))
