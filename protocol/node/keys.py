"""Keys with a life: wrapped under a key that is kept outside of backups, and erased with it.

A state folder is backed up, and the folder of secrets is not. What a node must keep for a while and
then never again (the bank's sealing keys, a partner's noise epochs) is kept in the state folder,
encrypted under the wrapping key of the secrets folder. Erasing a wrapped key erases it in the state
folder; erasing the wrapping key erases all of them, in every backup too.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import RefusedError
from protocol.files import kept_key, own_folder
from protocol.he.streams import fresh_key

_NONCE_BYTES: Final = 12
FILE: Final = "wrapping.key"
AUDIT_DAYS: Final = "audit_days"


class KeyErasedError(RefusedError):
    """A wrapped key can no longer be unwrapped."""


@dataclass(frozen=True)
class Keeper:
    """Wraps keys of one node. party: its name. key: the wrapping key."""

    party: str
    key: bytes = field(repr=False)

    def wrap(self, secret: bytes, *context: str) -> bytes:
        """Encrypt a key by AES-256-GCM. context: what it is for; it unwraps for the same party and context alone."""
        nonce = fresh_key()[:_NONCE_BYTES]
        return nonce + AESGCM(self.key).encrypt(nonce, secret, self._context(context))

    def unwrap(self, wrapped: bytes, *context: str) -> bytes:
        """Decrypt a key.

        Raises: KeyErasedError: the wrapping key was erased or replaced, or the key is of another party or context.
        """
        try:
            return AESGCM(self.key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], self._context(context))
        except (InvalidTag, ValueError):
            thing = "a key of this run cannot be unwrapped: the wrapping key in its secrets was erased or replaced"
            raise KeyErasedError(self.party, thing, "open a new run of the job", AUDIT_DAYS) from None

    def _context(self, context: tuple[str, ...]) -> bytes:
        return "\x1f".join(("fedwarn.v1", self.party, *context)).encode()


def keeper_of(party: str, secrets: Path) -> Keeper:
    """The keeper of a node. secrets: its folder, which is made if need be (mode 0700)."""
    return Keeper(party, kept_key(own_folder(secrets) / FILE))
