"""`bank-node recover`: resuming work after the state folder was lost, or restored from an older copy."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bank_node.partners.books import bank_books
from bank_node.settings.config import BankConfig
from bank_node.training.run_keys import erase_all_masters
from protocol.ledger.ledger import read_ledger
from protocol.ledger.receipts import intact_receipt
from protocol.node.store import transaction


def recover(config: BankConfig, receipts: Sequence[Path]) -> dict[str, Any]:
    """Close every run, so that none is resumed: its sealing keys are erased. The books open a new epoch.

    Args:
        receipts: of partners; they say what the bank asked and does not remember.

    Returns: the books' counter; the number of runs closed; and, by partner, how many messages of the bank
        its receipt has and the bank's own ledger lacks.
    Raises: UsageError, IntegrityError: a receipt cannot be used.
    """
    forgotten = _forgotten(config, receipts)
    closed = erase_all_masters(config)
    with bank_books(config) as books:
        with transaction(books.base):
            counter = books.recover()
        books.write_anchor()
    return {"counter": counter, "runs_closed": closed, "forgotten": forgotten}


def _forgotten(config: BankConfig, receipts: Sequence[Path]) -> dict[str, int]:
    path = config.state / "ledger.sqlite"
    known: set[str] = set()
    if path.exists():
        with closing(read_ledger(path)) as ledger:
            known = {entry.digest for entry in ledger.entries()}
    lost: Counter[str] = Counter()
    for receipt in map(intact_receipt, receipts):
        of_bank = {e.digest for e in receipt.entries if (e.direction, e.peer) == ("received", config.party)}
        lost[receipt.party] += len(of_bank - known)
    return dict(lost)
