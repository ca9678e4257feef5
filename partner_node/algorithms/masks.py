"""The partner's half of masks between partners: a key pair a sum, a secret with each other member, a mask a label.

What must outlive a restart is in files of the state folder: a repeat of a request gets the same bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from partner_node.policy.budgets import Budgets
from protocol.algorithms.alignment import PartnerAlignment
from protocol.algorithms.masks import (
    FEWEST,
    MaskKey,
    MaskKeyQuery,
    MasksAgreed,
    Member,
    PeerKey,
    PeerKeys,
    masked,
    name,
    pair_secret,
    to_sign,
)
from protocol.errors import IntegrityError, PeerError
from protocol.files import file_named, write_whole
from protocol.he.streams import digest
from protocol.identity import TlsMaterial
from protocol.identity.signatures import require_signed, signature_of
from protocol.messages import I64, U64

_SAME: Final = "run the same version on all nodes"


class KeptMasks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sum that this partner takes part in. private: of its key, until there are secrets, by the others' names.

    peers: the keys that these were agreed by.
    """

    subject: str
    members: tuple[Member, ...]
    public: bytes
    signature: bytes
    private: bytes
    peers: tuple[PeerKey, ...] = ()
    secrets: dict[str, bytes] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(member.party for member in self.members)


@dataclass(frozen=True)
class Masks:
    """Answers one bank. folder: of what is kept. pinned: fingerprints of the others' keys; of those named no others
    are accepted, and of none any that the authority certifies. alignment: a kept one, by its name."""

    party: str
    bank: str
    folder: Path
    budgets: Budgets
    identity: Callable[[], TlsMaterial]
    pinned: Mapping[str, str]
    alignment: Callable[[str], PartnerAlignment]

    def key(self, query: MaskKeyQuery) -> MaskKey:
        """A fresh key for this subject and these members; asked again, the same."""
        self._require_members(query)
        group, identity = name(self.bank, query.subject, query.members), self.identity()
        path = self._file(group)
        if not path.exists():
            private = X25519PrivateKey.generate()
            public = private.public_key().public_bytes_raw()
            signed = signature_of(identity, to_sign(group, self.party, public))
            kept = KeptMasks(query.subject, query.members, public, signed, private.private_bytes_raw())
            write_whole(path, msgspec.msgpack.encode(kept))
        kept = self.kept(group)
        return MaskKey(public=kept.public, signature=kept.signature, certificate=identity.cert_pem)

    def agree(self, told: PeerKeys) -> MasksAgreed:
        """Check the others' keys, and agree on a secret with each. Raises: PeerError, IntegrityError."""
        kept = self.kept(told.group)
        others = [party for party in kept.names if party != self.party]
        if [key.party for key in told.keys] != others or any(len(key.public) != 32 for key in told.keys):
            raise IntegrityError(self.bank, "passed on other keys than those of the partners named", _SAME)
        if kept.secrets:
            if kept.peers != told.keys:
                raise IntegrityError(self.bank, "passed on a second, different key of a partner", "run the job again")
            return MasksAgreed(group=told.group)
        identity, private = self.identity(), X25519PrivateKey.from_private_bytes(kept.private)
        for key in told.keys:
            signed = to_sign(told.group, key.party, key.public)
            require_signed(identity, key.party, key.certificate, signed, key.signature, self._pin(key.party))
        secrets = {key.party: self._secret(private, told.group, key) for key in told.keys}
        agreed = msgspec.structs.replace(kept, private=b"", peers=told.keys, secrets=secrets)
        write_whole(self._file(told.group), msgspec.msgpack.encode(agreed))
        return MasksAgreed(group=told.group)

    def kept(self, group: str) -> KeptMasks:
        """A sum by its name. Raises: IntegrityError: there is none."""
        path = self._file(group)
        if not path.exists():
            raise IntegrityError(self.bank, "names masks that were never agreed on", "run the job again")
        return msgspec.msgpack.decode(path.read_bytes(), type=KeptMasks)

    def hide(self, group: str, label: str, vector: I64) -> U64:
        """The vector under the masks of a label, which serves one vector for ever.

        Raises: IntegrityError: the label is another subject's, or has served another vector.
        """
        kept = self.kept(group)
        if not kept.secrets or not label.startswith(f"{kept.subject}/"):
            raise IntegrityError(self.bank, "asked for scores under masks that were not agreed on", "run the job again")
        self.budgets.admit_mask(group, label, digest(vector.astype("<i8").tobytes()))
        return masked(vector, self.party, kept.secrets, label)

    def _require_members(self, query: MaskKeyQuery) -> None:
        """Raises: IntegrityError, PeerError, DataError: this partner is not among them by an alignment of its own."""
        names = [member.party for member in query.members]
        mine = [member.alignment for member in query.members if member.party == self.party]
        if names != sorted(set(names)) or len(names) < FEWEST or len(mine) != 1:
            raise IntegrityError(self.bank, "named partners that cannot hide each other's scores", _SAME)
        if self.alignment(mine[0]).setting != "shared":
            raise PeerError(self.bank, "asks for masks where partners share no order of rows", 'align as "shared"')
        for other in names:
            if other != self.party:
                self._pin(other)

    def _pin(self, party: str) -> str:
        """What is pinned of a partner, "" if none are. Raises: PeerError: others are, and it is not."""
        if self.pinned and party not in self.pinned:
            raise PeerError(
                self.party, f"does not know the partner {party!r}, in whose sum its scores would be hidden",
                "name it under [peers] of its node.toml, or leave it out of the job",
            )  # fmt: skip
        return self.pinned.get(party, "")

    def _secret(self, private: X25519PrivateKey, group: str, key: PeerKey) -> bytes:
        """Raises: PeerError: the key is a point of small order, by which every secret would be the same."""
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(key.public))
        except ValueError:
            raise PeerError(key.party, "sent a key that gives no secret", _SAME) from None
        return pair_secret(shared, group, (self.party, key.party))

    def _file(self, group: str) -> Path:
        return file_named(self.folder, group, ".masks", self.bank)
