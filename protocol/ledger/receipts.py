"""Receipts: a ledger as a file that can be handed over, and whether two of them tell the same story.

A receipt is JSON lines: a head with the party's name and the number of entries, then the entries. Both the chain of
each receipt and the agreement of the two are checked: what one party says it sent, the other says it received, in
every session, in order, by kind, size and digest.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.errors import IntegrityError, UsageError
from protocol.ledger.ledger import Entry, ReceiptHead, first_bad


@dataclass(frozen=True)
class Receipt:
    """All entries of a party's ledger."""

    party: str
    entries: list[Entry]


@dataclass(frozen=True)
class Mismatch:
    """The first thing on which two receipts do not agree. party: whose receipt to look into. number: entry there."""

    party: str
    number: int
    kind: str
    why: str

    def error(self) -> IntegrityError:
        """The same as an error, with exit code 7."""
        return IntegrityError(self.party, f"{self.why} (entry {self.number}, {self.kind})", "ask both parties")


def read_receipt(path: Path) -> Receipt:
    """A receipt as written.

    Raises: UsageError: there is none. IntegrityError: a line cannot be read, or the end is missing.
    """
    if not path.is_file():
        raise UsageError("receipt", f"there is none at {path}", "give a file of a run's receipts folder")
    lines = path.read_bytes().splitlines()
    try:
        head = msgspec.json.decode(lines[0] if lines else b"", type=ReceiptHead)
        entries = [msgspec.json.decode(line, type=Entry) for line in lines[1:]]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise IntegrityError("receipt", f"{path.name} has a line that is not an entry", "export it again") from None
    if len(entries) != head.entries:
        thing = f"{path.name} holds {len(entries)} entries where its head says {head.entries}"
        raise IntegrityError(head.party, thing, "export it again")
    return Receipt(head.party, entries)


def intact_receipt(path: Path) -> Receipt:
    """A receipt whose chain holds. Raises: as `read_receipt`; IntegrityError: an entry was changed or taken out."""
    receipt = read_receipt(path)
    if mismatch := broken(receipt):
        raise mismatch.error()
    return receipt


def broken(receipt: Receipt) -> Mismatch | None:
    """The first entry whose chain does not hold."""
    number = first_bad(receipt.party, iter(receipt.entries))
    if number is None:
        return None
    kind = receipt.entries[number - 1].kind
    return Mismatch(receipt.party, number, kind, "has an entry that was changed, taken out or moved")


def reconcile(a: Path, b: Path) -> Mismatch | None:
    """The first entry on which two receipts differ or whose chain is broken; None if they tell the same story.

    Messages between either party and others are left aside; a message that was repeated counts once. The last
    message of a session may be on record at its sender only: it was under way when the session broke off.

    Raises: as `read_receipt`.
    """
    first, second = read_receipt(a), read_receipt(b)
    return broken(first) or broken(second) or _one_way(first, second) or _one_way(second, first)


def _one_way(sender: Receipt, receiver: Receipt) -> Mismatch | None:
    """Compare what one says it sent with what the other says it received."""
    sent, received = _told(sender, "sent", receiver.party), _told(receiver, "received", sender.party)
    last = _last_numbers(sender, receiver)
    for session in [*sent, *(received.keys() - sent.keys())]:
        ours, theirs = sent.get(session, []), received.get(session, [])
        for x, y in zip(ours, theirs, strict=False):
            if _content(x) != _content(y):
                return Mismatch(receiver.party, y.number, y.kind, f"received another message than {sender.party} sent")
        if len(theirs) > len(ours):
            extra = theirs[len(ours)]
            return Mismatch(receiver.party, extra.number, extra.kind, f"received what {sender.party} did not send")
        for lost in ours[len(theirs) :]:
            if lost.sequence < last[session]:
                return Mismatch(sender.party, lost.number, lost.kind, f"sent what {receiver.party} did not receive")
    return None


def _told(receipt: Receipt, direction: str, peer: str) -> dict[str, list[Entry]]:
    """Entries of one direction by session, each message once, in the order of the first time."""
    sessions: dict[str, dict[tuple[object, ...], Entry]] = {}
    for entry in receipt.entries:
        if (entry.direction, entry.peer) == (direction, peer):
            sessions.setdefault(entry.session, {}).setdefault(_content(entry), entry)
    return {session: list(entries.values()) for session, entries in sessions.items()}


def _last_numbers(*receipts: Receipt) -> dict[str, int]:
    """The highest sequence of each session in any of the receipts."""
    last: dict[str, int] = {}
    for receipt in receipts:
        for entry in receipt.entries:
            last[entry.session] = max(last.get(entry.session, 0), entry.sequence)
    return last


def _content(entry: Entry) -> tuple[object, ...]:
    """What both sides must agree on. Time and declaration are each side's own words."""
    return (entry.sequence, entry.kind, entry.bytes, entry.digest, entry.fields)
