"""The bank's books: how often it has greeted, so that a state folder that was restored from a copy is noticed."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from bank_node.settings.config import BankConfig
from protocol.algorithms.agreement import SignedState, Welcome
from protocol.files import kept_key, own_folder, write_whole
from protocol.he.streams import digest
from protocol.node.books import TABLE, Books, later
from protocol.node.store import open_database


@contextmanager
def bank_books(config: BankConfig) -> Iterator[Books]:
    """The books in the bank's state folder. Raises: UsageError: they cannot be used."""
    key = kept_key(own_folder(config.state) / "bank.key")
    with closing(open_database(config.state / "books.sqlite", config.party, TABLE)) as base:
        yield Books(base, config.party, key, config.anchor)


def sign_greeting(config: BankConfig) -> SignedState | None:
    """Enter a greeting before it leaves; what partners are shown.

    Raises: RefusedError: this state folder is an older copy; nothing leaves then.
    """
    with bank_books(config) as books:
        books.require_current()
        return books.sign()


def compare(config: BankConfig, welcomes: Mapping[str, Welcome]) -> None:
    """Compare what partners have seen of the bank's books, and keep what they show of theirs.

    Raises: RefusedError: this state folder is an older copy.
    """
    with bank_books(config) as books:
        for partner, welcome in welcomes.items():
            books.show(welcome.yours)
            before = seen(config, partner)
            kept = later(before, welcome.books, partner)
            if kept is not None and kept != before:
                write_whole(_file(config, partner), msgspec.json.encode(kept), durable=True)
        books.require_current()


def seen(config: BankConfig, partner: str) -> SignedState | None:
    """The last state that a partner showed of its books; None if it never did."""
    path = _file(config, partner)
    return msgspec.json.decode(path.read_bytes(), type=SignedState) if path.exists() else None


def _file(config: BankConfig, partner: str) -> Path:
    return own_folder(config.state / "seen") / f"{digest(partner.encode()).hex()}.json"
