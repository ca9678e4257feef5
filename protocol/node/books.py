"""Books: how a node notices that its state folder is an older copy, and refuses to answer from it.

Every commit to a node's budgets advances a counter, and a root that is chained over all records:

    root[k] = SHA-256(root[k-1], k, digest of what was entered)

A node signs (party, counter, root) in each greeting, and keeps what it signed. Its peer keeps the
last one, and shows it in the next greeting. A node that is shown a state *with its own valid
signature* that it does not know to have signed was restored from a copy, or ran twice from one: it
answers nothing but greetings until `recover`. The record of a greeting is 32 random bytes, so that
two copies that make the same greeting sign different roots. A claim without the node's own
signature counts for nothing. Against a peer that keeps silent, the counter also goes to an anchor
outside of the state folder, before any answer leaves.

The signing key is derived from the key in the state folder. Certificates come and go, and a restored
copy has to know its own signature, so that key must be in the copy. Where the state folder is lost
together with that key, no claim can be verified any more: then the anchor notices it.

The high 30 bits of the counter are the epoch. `recover` opens the next one, whose counters are above
all those that were signed before, whether this node knows of them or not.
"""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.algorithms.agreement import SignedState
from protocol.errors import RefusedError, UsageError
from protocol.files import write_whole
from protocol.he.streams import derive, digest, fresh_key
from protocol.node.store import transaction

LOG: Final = logging.getLogger(__name__)
TABLE: Final = """
CREATE TABLE IF NOT EXISTS books (counter INTEGER NOT NULL, root TEXT NOT NULL, floor INTEGER NOT NULL,
    claimed INTEGER NOT NULL, behind TEXT NOT NULL, anchor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS signed (counter INTEGER PRIMARY KEY, root TEXT NOT NULL);
"""
"""floor: claims below it are settled. claimed: the highest counter that a peer has proved.
behind: why the node answers nothing, "" if it does. anchor: the file that was last written, if any."""
START: Final = "0" * 64
RULE: Final = "books"
EPOCH: Final = 1 << 32
"""Commits that one epoch has room for."""
MOST_SIGNED: Final = 10_000
"""Greetings of which the node keeps what it signed: a bank that greets without end fills no disk."""


class Books:
    """The books of one node, in a SQLite file whose transactions they share. Not thread-safe.

    Args:
        base: the file, with `TABLE`.
        party: the node's name.
        key: the node's secret, from which the signing key is derived.
        anchor: a file outside of the state folder; None for none.
        lost: something says that there were books before; new ones are then behind.

    Raises: UsageError: the anchor cannot be read, or is another party's.
    """

    def __init__(
        self, base: sqlite3.Connection, party: str, key: bytes, anchor: Path | None = None, lost: bool = False
    ) -> None:
        self.base, self._party, self._anchor = base, party, anchor
        self._signer = Ed25519PrivateKey.from_private_bytes(derive(key, "books"))
        self._public = self._signer.public_key().public_bytes_raw()
        new = "INSERT INTO books SELECT 0, ?, 0, 0, '', '' WHERE NOT EXISTS (SELECT 1 FROM books)"
        if base.execute(new, (START,)).rowcount and lost:
            self._fall_behind("its books are missing, and jobs were approved before")
        self._compare_anchor()

    @property
    def counter(self) -> int:
        """Commits so far, above the epoch's first counter."""
        return self._position[0]

    @property
    def behind(self) -> str:
        """Why this node answers nothing before `recover`; "" if it does answer."""
        (why,) = self.base.execute("SELECT behind FROM books").fetchone()
        return str(why)

    @property
    def claimed(self) -> int:
        """The highest counter of which a peer has proved that this node signed it, and did not know."""
        (counter,) = self.base.execute("SELECT claimed FROM books").fetchone()
        return int(counter)

    def advance(self, record: bytes) -> None:
        """Enter a record, inside the transaction to which it belongs."""
        counter, root = self._position
        after = digest(bytes.fromhex(root), (counter + 1).to_bytes(8, "little"), record).hex()
        self.base.execute("UPDATE books SET counter = ?, root = ?", (counter + 1, after))

    def write_anchor(self) -> None:
        """Write counter and root to the anchor, whole and on the disk, before an answer leaves.

        A node that is behind writes nothing: it would lower the anchor that has noticed it.
        Raises: UsageError: the anchor cannot be written.
        """
        if self._anchor is None or self.behind:
            return
        counter, root = self._position
        try:
            write_whole(self._anchor, f"{counter} {root} {self._party}\n".encode(), durable=True)
        except UsageError as error:
            thing = f"its anchor cannot be written ({error.thing})"
            raise UsageError(self._party, thing, "make its folder writable, or correct `anchor` in node.toml") from None
        self.base.execute("UPDATE books SET anchor = ? WHERE anchor != ?", (str(self._anchor), str(self._anchor)))

    def sign(self) -> SignedState | None:
        """Enter a greeting, and sign the books as they stand after it.

        Returns: None where the node is behind: what it would sign is no progress.
        """
        if self.behind:
            return None
        with transaction(self.base):
            self.advance(fresh_key())
            counter, root = self._position
            self.base.execute("INSERT INTO signed VALUES (?, ?)", (counter, root))
            self._forget_old()
        self.write_anchor()
        signature = self._signer.sign(_signed(self._party, counter, root))
        return SignedState(self._party, counter, root, self._public, signature)

    def show(self, claim: SignedState | None) -> None:
        """Compare what a peer says that this node signed before; only what this node has signed counts."""
        if claim is None:
            return
        if claim.key != self._public or not authentic(claim, self._party):
            LOG.warning("%s was shown a state of its books that it has not signed, and ignores it", self._party)
            return
        (floor,) = self.base.execute("SELECT floor FROM books").fetchone()
        known = self.base.execute("SELECT 1 FROM signed WHERE (counter, root) = (?, ?)", (claim.counter, claim.root))
        if claim.counter >= floor and not known.fetchone():
            self.base.execute("UPDATE books SET claimed = max(claimed, ?)", (claim.counter,))
            self._fall_behind(f"its peer has seen entry {claim.counter}, which its books at {self.counter} lack")

    def require_current(self) -> None:
        """Raises: RefusedError: this node is behind, and has not recovered."""
        if why := self.behind:
            thing = f"its state folder is an older copy, or was lost: {why}"
            remedy = f"let {self._party} run `recover` with the receipts of its peer"
            raise RefusedError(self._party, thing, remedy, RULE)

    def recover(self) -> int:
        """Open the next epoch, inside a transaction; its first counter. `write_anchor` follows the commit."""
        counter, root = self._position
        after = (max(counter, self.claimed, self._anchored()[0]) // EPOCH + 1) * EPOCH
        # Fresh bytes: a copy that is recovered twice has two epochs of one number, and no root in common.
        fresh = digest(b"recovered", bytes.fromhex(root), fresh_key()).hex()
        self.base.execute("UPDATE books SET counter = ?, root = ?, floor = ?, behind = ''", (after, fresh, after))
        self.base.execute("DELETE FROM signed")
        return after

    @property
    def _position(self) -> tuple[int, str]:
        position: tuple[int, str] = self.base.execute("SELECT counter, root FROM books").fetchone()
        return position

    def _forget_old(self) -> None:
        """Forget the states that were signed longest ago; claims of them are settled."""
        query = "SELECT counter FROM signed ORDER BY counter DESC LIMIT 1 OFFSET ?"
        if oldest := self.base.execute(query, (MOST_SIGNED - 1,)).fetchone():
            self.base.execute("DELETE FROM signed WHERE counter < ?", oldest)
            self.base.execute("UPDATE books SET floor = max(floor, ?)", oldest)

    def _fall_behind(self, why: str) -> None:
        # `require_current` raises the same: the console shows it once, and the JSON log has both.
        LOG.warning("%s answers nothing: %s", self._party, why, extra={"raised": True})
        self.base.execute("UPDATE books SET behind = ? WHERE behind = ''", (why,))

    def _compare_anchor(self) -> None:
        counter, root = self._position
        there, anchored = self._anchored()
        if there > counter or (there == counter and anchored != root):
            self._fall_behind(f"its books stand at entry {counter}, and its anchor at entry {there}")
        (written,) = self.base.execute("SELECT anchor FROM books").fetchone()
        if there < 0 and self._anchor is not None and written == str(self._anchor):
            self._fall_behind(f"its books stand at entry {counter}, and its anchor is missing")

    def _anchored(self) -> tuple[int, str]:
        """Counter and root of the anchor; (-1, "") without one."""
        if self._anchor is None or not self._anchor.is_file():
            return -1, ""
        counter, _, rest = self._anchor.read_text(encoding="utf-8", errors="replace").rstrip("\n").partition(" ")
        root, _, party = rest.partition(" ")
        if not counter.isdecimal() or party != self._party:
            thing = f"the anchor {self._anchor.name} is not its own, or is damaged"
            raise UsageError(self._party, thing, "put the right file there, or correct `anchor` in node.toml")
        return int(counter), root


def authentic(state: SignedState, party: str) -> bool:
    """Whether a state is signed by the key that it names, for this party."""
    try:
        signed = _signed(party, state.counter, state.root)
        Ed25519PublicKey.from_public_bytes(state.key).verify(state.signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return state.party == party


def later(before: SignedState | None, now: SignedState | None, party: str) -> SignedState | None:
    """Which of two states of a peer's books to keep: the later one of the same key, and any of another key.

    A peer whose state folder was lost has another key. What is not signed counts for nothing.
    """
    if now is None:
        return before
    if not authentic(now, party):
        LOG.warning("%s showed a state of its books without a valid signature, which is ignored", party)
        return before
    replaces = before is None or now.key != before.key or now.counter > before.counter
    return now if replaces else before


def _signed(party: str, counter: int, root: str) -> bytes:
    """What is signed."""
    return digest(b"fedwarn.v1 books", party.encode(), counter.to_bytes(8, "little"), bytes.fromhex(root))
