"""Books: how a node notices that its state folder is an older copy, and refuses to answer from it.

Every commit to a node's budgets advances a counter, and a root that is chained over all that was entered:

    root[k] = SHA-256(root[k-1], k, digest of what was entered)

A node signs (party, counter, root) under a key of its own, which outlives its TLS certificates, and shows it in each
greeting; the peer keeps the last one and shows it back. A node that is shown a later state, or another root of the same
counter, *with its own valid signature* has been put back to a copy: it answers nothing but greetings until `recover`.
A claim without its signature counts for nothing. Against a peer that keeps silent, the counter is also written to an
anchor outside of the state folder, before any answer leaves.
"""

import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.algorithms.agreement import SignedState
from protocol.contract import refuse
from protocol.errors import RefusedError, UsageError
from protocol.he.streams import derive, digest

LOG: Final = logging.getLogger(__name__)
TABLE: Final = "CREATE TABLE IF NOT EXISTS books (counter INTEGER NOT NULL, root TEXT NOT NULL, behind TEXT NOT NULL);"
START: Final = "0" * 64
RULE: Final = "books"


class Books:
    """Of one node, in a SQLite file whose transactions it shares.

    base: the file. key: the node's secret, from which the signing key is derived. anchor: a file outside of the state
    folder, None for none. lost: the file is new, and something says that there was one before.
    """

    def __init__(
        self, base: sqlite3.Connection, party: str, key: bytes, anchor: Path | None = None, lost: bool = False
    ) -> None:
        self._base, self._party, self._anchor = base, party, anchor
        self._signer = Ed25519PrivateKey.from_private_bytes(derive(key, "books"))
        if not base.execute("SELECT 1 FROM books").fetchone():
            base.execute("INSERT INTO books VALUES (0, ?, '')", (START,))
        if lost:
            self._fall_behind("its books are gone, and jobs were approved before")
        self._compare_anchor()

    @property
    def counter(self) -> int:
        """Commits so far."""
        return self._row()[0]

    def advance(self, record: bytes) -> None:
        """Enter a record, inside the transaction that it is of."""
        counter, root, _ = self._row()
        after = digest(bytes.fromhex(root), (counter + 1).to_bytes(8, "little"), record).hex()
        self._base.execute("UPDATE books SET counter = ?, root = ?", (counter + 1, after))

    def write_anchor(self) -> None:
        """Write counter and root outside of the state folder, whole and on the disk. Raises: UsageError."""
        if self._anchor is None:
            return
        counter, root, _ = self._row()
        beside = self._anchor.with_name(self._anchor.name + ".part")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(f"{counter} {root}\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._anchor)
        except OSError as error:
            thing = f"the anchor {self._anchor} cannot be written ({error.strerror})"
            raise UsageError(self._party, thing, "make its folder writable, or correct `anchor` in node.toml") from None

    def state(self) -> SignedState:
        """What is shown in a greeting."""
        counter, root, _ = self._row()
        signature = self._signer.sign(_to_sign(self._party, counter, root))
        return SignedState(self._party, counter, root, signature)

    def shown(self, claim: SignedState | None) -> None:
        """Take note of what a peer says it was shown before; only what this node has signed counts."""
        if claim is None:
            return
        counter, root, behind = self._row()
        if claim.counter < counter or behind or (claim.counter, claim.root) == (counter, root):
            return
        try:
            signed = _to_sign(self._party, claim.counter, claim.root)
            self._signer.public_key().verify(claim.signature, signed)
        except InvalidSignature:
            LOG.warning("%s was shown a state of its books that it has not signed, and ignores it", self._party)
            return
        self._fall_behind(f"its books stand at entry {counter}, and its peer has seen entry {claim.counter}")

    def require_current(self) -> None:
        """Raises: RefusedError: this node was put back to an older copy, and has not recovered."""
        behind = self._row()[2]
        if behind:
            raise refused(self._party, behind)

    def recover(self, at_least: int) -> int:
        """Go on from the later of two counters; the counter after it."""
        counter, root, _ = self._row()
        after = max(counter, at_least, self._anchored()[0]) + 1
        fresh = digest(b"recovered", bytes.fromhex(root), after.to_bytes(8, "little")).hex()
        self._base.execute("UPDATE books SET counter = ?, root = ?, behind = ''", (after, fresh))
        self.write_anchor()
        return after

    def _row(self) -> tuple[int, str, str]:
        row: tuple[int, str, str] = self._base.execute("SELECT counter, root, behind FROM books").fetchone()
        return row

    def _fall_behind(self, why: str) -> None:
        LOG.warning("%s answers nothing: %s", self._party, why)
        self._base.execute("UPDATE books SET behind = ? WHERE behind = ''", (why,))

    def _compare_anchor(self) -> None:
        counter, root, _ = self._row()
        there, anchored = self._anchored()
        if there > counter or (there == counter and anchored != root):
            self._fall_behind(f"its books stand at entry {counter}, and its anchor at entry {there}")

    def _anchored(self) -> tuple[int, str]:
        """Counter and root of the anchor; (-1, "") without one."""
        if self._anchor is None or not self._anchor.is_file():
            return -1, ""
        counter, _, root = self._anchor.read_text(encoding="ascii").strip().partition(" ")
        if not counter.isdecimal():
            raise UsageError(self._party, f"the anchor {self._anchor} holds no counter", "put the right file there")
        return int(counter), root


def refused(party: str, why: str) -> RefusedError:
    """The error of a node that was put back to an older copy."""
    thing = f"its state folder is an older copy, or was lost: {why}"
    return refuse(party, RULE, thing, f"let {party} run `recover` with the receipts of its peer")


def _to_sign(party: str, counter: int, root: str) -> bytes:
    return digest(b"fedwarn.v1 books", party.encode(), counter.to_bytes(8, "little"), bytes.fromhex(root))
