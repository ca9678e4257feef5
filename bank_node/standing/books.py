"""The bank's books: how often it has greeted whom, so that a state folder that was put back to a copy is noticed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from bank_node.config import BankConfig
from protocol.algorithms.agreement import Hello, SignedState, Welcome
from protocol.he.streams import digest
from protocol.ledger.ledger import Entry
from protocol.ledger.receipts import read_receipt
from protocol.node.books import TABLE, Books
from protocol.node.files import kept_key, own_folder, write_whole
from protocol.node.store import open_database


@contextmanager
def bank_books(config: BankConfig) -> Iterator[Books]:
    """The books in the bank's state folder. Raises: UsageError: they cannot be used."""
    key = kept_key(own_folder(config.state) / "bank.key")
    with closing(open_database(config.state / "books.sqlite", config.party, TABLE)) as base:
        yield Books(base, config.party, key, config.anchor)


def enter_greeting(config: BankConfig, partners: Sequence[str], job: str) -> SignedState:
    """Enter a greeting before it leaves; what the partners are shown."""
    with bank_books(config) as books:
        books.advance(digest(*(partner.encode() for partner in sorted(partners)), job.encode()))
        books.write_anchor()
        return books.state()


def compare(config: BankConfig, welcomes: Mapping[str, Welcome]) -> None:
    """Take note of what partners have seen of our books, and keep what they show of theirs.

    Raises: RefusedError: this state folder is an older copy.
    """
    with bank_books(config) as books:
        for partner, welcome in welcomes.items():
            books.shown(welcome.yours)
            before = seen(config, partner)
            if welcome.books and (before is None or welcome.books.counter > before.counter):
                write_whole(_file(config, partner), msgspec.json.encode(welcome.books))
        books.require_current()


def seen(config: BankConfig, partner: str) -> SignedState | None:
    """What a partner showed last of its books; None if it never did."""
    path = _file(config, partner)
    return msgspec.json.decode(path.read_bytes(), type=SignedState) if path.exists() else None


def _file(config: BankConfig, partner: str) -> Path:
    return own_folder(config.state / "seen") / f"{digest(partner.encode()).hex()}.json"


def recover(config: BankConfig, receipts: Sequence[Path]) -> int:
    """Go on after the state folder was lost or put back to a copy; the counter after it.

    receipts: of partners, which say how far the bank's books were when they saw them last. Every run that was under way
    is closed: its sealing keys are erased.
    Raises: UsageError, IntegrityError: a receipt cannot be used.
    """
    seen_by_peers = [counter for path in receipts for counter in _counters(read_receipt(path).entries)]
    for master in (config.state / "journals").glob("*/master"):
        master.unlink()
    with bank_books(config) as books:
        return books.recover(max(seen_by_peers, default=0))


def _counters(entries: Sequence[Entry]) -> Iterator[int]:
    """How far the bank's books were, as greetings in a partner's receipt have it."""
    for entry in entries:
        if entry.kind == Hello.KIND and entry.direction == "received" and entry.fields[:1] == "{":
            books = json.loads(entry.fields).get("books")
            yield int(books["counter"]) if isinstance(books, dict) else 0
