"""The ledger: what left a node and what reached it, each entry chained to the one before.

An entry says to whom, in which place of which session, what kind of message, how many bytes, their SHA-256,
whether they were encrypted, and what the message's declaration says of content and purpose. Its chain value is

    chain[k] = SHA-256(chain[k-1] || MessagePack of the entry's fields)
    chain[0] = SHA-256("fedwarn.v1 ledger" || party)

so that an entry cannot be changed, taken out or moved without all later ones being written anew. A cut-off end is
found by reconciling with the other party's receipt (protocol/ledger/receipts.py).
"""

import fcntl
import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypedDict

import msgspec

from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.messages import Disclosure, Message, cleartext
from protocol.node.store import open_database, told
from protocol.wire.envelope import Envelope

Direction = Literal["sent", "received"]

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, time TEXT NOT NULL, direction TEXT NOT NULL,
    peer TEXT NOT NULL, session TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
    digest TEXT NOT NULL, encrypted INTEGER NOT NULL, content TEXT NOT NULL, purpose TEXT NOT NULL,
    fields TEXT NOT NULL, chain TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS owner (party TEXT NOT NULL);
"""
_FIELDS: Final = (
    "number, time, direction, peer, session, sequence, kind, bytes, digest, encrypted, content, purpose, fields, chain"
)
_INSERT: Final = f"INSERT INTO entries ({_FIELDS}) VALUES ({', '.join('?' * 14)})"
_SUMMARY: Final = """
SELECT direction, peer, kind, content, purpose, encrypted, COUNT(*), SUM(bytes)
FROM (SELECT DISTINCT direction, peer, session, sequence, kind, digest, content, purpose, encrypted, bytes
      FROM entries)
GROUP BY direction, peer, kind, content, purpose, encrypted ORDER BY direction DESC, peer, kind, encrypted, content
"""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message that left or arrived.

    number: 1, 2, ... in the ledger. time: UTC, ISO 8601. digest: SHA-256 of the body, hex. fields: what the message
    says in clear (`protocol.messages.cleartext`). chain: hex.
    """

    number: int
    time: str
    direction: Direction
    peer: str
    session: str
    sequence: int
    kind: str
    bytes: int
    digest: str
    encrypted: bool
    content: str
    purpose: str
    fields: str = ""
    chain: str = ""


class ReceiptHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a receipt (protocol/ledger/receipts.py). entries: how many lines follow."""

    party: str
    entries: int
    schema: int = 1


class Disclosed(TypedDict):
    """All messages of one kind from one party to another."""

    sender: str
    receiver: str
    kind: str
    content: str
    purpose: str
    encrypted: bool
    count: int
    bytes: int


def chain_start(party: str) -> str:
    """The chain value before the first entry."""
    return hashlib.sha256(b"fedwarn.v1 ledger" + party.encode()).hexdigest()


def chained(before: str, entry: Entry) -> str:
    """The chain value of an entry, given the one before."""
    fields = msgspec.structs.astuple(entry)[:-1]
    return hashlib.sha256(bytes.fromhex(before) + msgspec.msgpack.encode(fields)).hexdigest()


def first_bad(party: str, entries: Iterator[Entry]) -> int | None:
    """The number of the first entry that does not follow from those before it; None if all do."""
    chain = chain_start(party)
    for number, entry in enumerate(entries, start=1):
        if entry.number != number or entry.chain != chained(chain, entry):
            return number
        chain = entry.chain
    return None


class LedgerReader:
    """A ledger to look into, also while its node writes it."""

    def __init__(self, path: Path, party: str, base: sqlite3.Connection) -> None:
        self.path, self.party = path, party
        self._base, self._lock = base, threading.Lock()

    def entries(self) -> list[Entry]:
        """All entries, in order."""
        with self._lock, told(self.path, self.party):
            rows = self._base.execute(f"SELECT {_FIELDS} FROM entries ORDER BY number").fetchall()
        return [_entry(row) for row in rows]

    def verify(self) -> int | None:
        """The number of the first entry that was changed, taken out or moved; None if the chain holds."""
        return first_bad(self.party, iter(self.entries()))

    def summary(self) -> list[Disclosed]:
        """What passed between this party and each other, by kind; a message that was only repeated counts once."""
        with self._lock, told(self.path, self.party):
            rows = self._base.execute(_SUMMARY).fetchall()
        return [self._disclosed(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def _disclosed(
        self, direction: Direction, peer: str, kind: str, content: str, purpose: str, encrypted: int, n: int, size: int
    ) -> Disclosed:
        sender, receiver = (self.party, peer) if direction == "sent" else (peer, self.party)
        return Disclosed(
            sender=sender, receiver=receiver, kind=kind, content=content, purpose=purpose,
            encrypted=bool(encrypted), count=n, bytes=size,
        )  # fmt: skip


class Ledger(LedgerReader):
    """The ledger of a running node: one process at a time writes it. Thread-safe.

    A power cut may take its last entries. What was spent stands in the budgets, which are on the disk before an answer
    leaves, and the other party's receipt has the entries.
    """

    def __init__(self, path: Path, party: str) -> None:
        """Raises: UsageError: another process writes it, it is another party's, or it cannot be opened."""
        super().__init__(path, party, open_database(path, party, _TABLES, durable=False))
        self._alone = _locked(path, party)
        self._own()
        with told(path, party):
            self._number, self._chain = self._head()

    def record(
        self, direction: Direction, peer: str, envelope: Envelope, message: Message, time: datetime | None = None
    ) -> int:
        """Append an entry; its number. time: now, if not given. Raises: UsageError: the disk is full."""
        at = (time or datetime.now(UTC)).isoformat(timespec="milliseconds")
        return self._append(direction, peer, envelope, at, message.disclosure, cleartext(message))

    def record_unreadable(self, peer: str, envelope: Envelope, why: str) -> None:
        """Append what arrived and could not be read. Raises: UsageError: the disk is full."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        told_of = Disclosure("a request that cannot be read", False, why)
        self._append("received", peer, envelope.presentable, at, told_of, "")

    def _append(
        self, direction: Direction, peer: str, envelope: Envelope, at: str, told_of: Disclosure, fields: str
    ) -> int:
        with self._lock, told(self.path, self.party):
            bare = Entry(
                self._number + 1, at, direction, peer, envelope.session, envelope.sequence, envelope.kind,
                len(envelope.body), envelope.digest.hex(), told_of.encrypted, told_of.content, told_of.purpose, fields,
            )  # fmt: skip
            chain = chained(self._chain, bare)
            self._base.execute(_INSERT, (*msgspec.structs.astuple(bare)[:-1], chain))
            self._number, self._chain = bare.number, chain
            return bare.number

    def rest(self) -> None:
        """Let another process write it, until `wake`."""
        fcntl.flock(self._alone, fcntl.LOCK_UN)

    def wake(self) -> bool:
        """Write it alone again; whether nobody has written it in between. Raises: UsageError: somebody is writing."""
        _lock(self._alone, self.path, self.party)
        with self._lock, told(self.path, self.party):
            return self._head() == (self._number, self._chain)

    def close(self) -> None:
        """Close the file, and let another process write it."""
        super().close()
        self._alone.close()

    def _head(self) -> tuple[int, str]:
        """Number and chain value of the last entry."""
        last = self._base.execute("SELECT number, chain FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        return last or (0, chain_start(self.party))

    def _own(self) -> None:
        """Enter this party as the owner of a new ledger, or see that it is. Raises: UsageError."""
        with told(self.path, self.party):
            owner = self._base.execute("SELECT party FROM owner").fetchone()
            if owner is None:
                self._base.execute("INSERT INTO owner VALUES (?)", (self.party,))
        if owner is not None and owner[0] != self.party:
            self.close()
            raise _not_ours(self.party, self.path, owner[0])


def read_ledger(path: Path) -> LedgerReader:
    """Open a ledger to look into it. Raises: UsageError: there is none at that path."""
    if not path.is_file():
        raise UsageError("ledger", f"there is none at {path}", "give the ledger of a node's state folder")
    with told(path, "ledger"):
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        (party,) = base.execute("SELECT party FROM owner").fetchone()
    return LedgerReader(path, party, base)


def export_receipt(ledger: Path, receipt: Path, party: str) -> None:
    """Write a party's ledger as JSON lines: a head, then the entries.

    Raises: UsageError: there is no ledger, it is another party's, or the disk is full.
    """
    reader = read_ledger(ledger)
    entries = reader.entries()
    reader.close()
    if reader.party != party:
        raise _not_ours(party, ledger, reader.party)
    lines: list[ReceiptHead | Entry] = [ReceiptHead(reader.party, len(entries)), *entries]
    write_whole(receipt, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _not_ours(party: str, path: Path, owner: str) -> UsageError:
    return UsageError(party, f"{path.name} is the ledger of {owner}", "give every party a state folder of its own")


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(Entry.__struct_fields__, row, strict=True))
    return Entry(**{**values, "encrypted": bool(values["encrypted"])})


def _locked(path: Path, party: str) -> BinaryIO:
    """An open file whose lock says that this process alone writes the ledger; it falls when the process ends."""
    lock = path.with_name(path.name + ".lock").open("wb")
    try:
        _lock(lock, path, party)
    except UsageError:
        lock.close()
        raise
    return lock


def _lock(lock: BinaryIO, path: Path, party: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UsageError(
            party, f"{path.name} is being written by another process", "stop the other node of this state folder"
        ) from None
