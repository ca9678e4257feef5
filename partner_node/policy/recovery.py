"""`partner-node recover`: going on after the state folder was lost, or put back to an older copy.

What was answered in between is not known here. It is taken from receipts of the bank, or everything that was approved
is taken as spent. All runs are closed: their noise epochs are erased, so that none of their labels is answered again.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from partner_node.config import PartnerConfig
from partner_node.policy.budgets import Budgets
from partner_node.policy.policy import Approvals
from partner_node.policy.readable import EVERY_COLUMN, Bits
from protocol.errors import UsageError
from protocol.ledger.ledger import Entry
from protocol.ledger.receipts import broken, read_receipt

LOST: Final = b"lost"
_EVERYTHING: Final = 1e18


def recover(
    config: PartnerConfig, budgets: Budgets, approvals: Approvals, receipts: Sequence[Path], all_spent: bool
) -> dict[str, Any]:
    """Enter what was answered in between as spent, close all runs, and go on.

    Raises: UsageError: neither receipts nor all_spent is given. IntegrityError: a receipt was changed.
    """
    if not receipts and not all_spent:
        raise UsageError(
            config.party, "recover needs the receipts of the bank, which say what was answered in between",
            "give --receipt FILE, or --all-spent to take all that was approved as spent",
        )  # fmt: skip
    account, before = config.policy.account, budgets.equations(config.bank, config.policy.account)
    entries = [entry for path in receipts for entry in _entries(path, config)]
    with budgets.spending():
        for entry in entries:
            _enter(budgets, config, entry)
        if all_spent:
            _spend_all(budgets, config, approvals)
        closed = budgets.close_runs()
        share = max((_share(entry) for entry in entries), default=0.0)
        told = budgets.other_shares(config.bank, account, b"")
        if share > told:
            budgets.set_share(config.bank, account, LOST, share - told)
    counter = budgets.books.recover(max((_counter(entry) for entry in entries), default=0))
    spent = budgets.equations(config.bank, account) - before
    return {"counter": counter, "equations": spent, "runs_closed": closed, "receipts": len(receipts)}


def _entries(path: Path, config: PartnerConfig) -> Iterator[Entry]:
    """What a receipt of the bank says of this partner. Raises: UsageError, IntegrityError."""
    receipt = read_receipt(path)
    if receipt.party != config.bank:
        raise UsageError(
            config.party, f"{path.name} is a receipt of {receipt.party!r}, and its bank is {config.bank!r}",
            "give a receipt of the bank",
        )  # fmt: skip
    if mismatch := broken(receipt):
        raise mismatch.error()
    yield from (entry for entry in receipt.entries if entry.peer == config.party)


def _enter(budgets: Budgets, config: PartnerConfig, entry: Entry) -> None:
    """Enter the labels that a request has named."""
    if entry.direction != "sent" or not entry.fields.startswith("{"):
        return
    fields = _fields(entry)
    labels = fields.get("labels", [fields["label"]] if "label" in fields else [])
    each = 2 if "labels" in fields else int(fields.get("vectors", 0)) + ("weight" in fields)
    for label in labels:
        parts = str(label).split("/")
        if len(parts) > 2 and parts[2].isdecimal():
            values = (config.bank, config.policy.account, parts[1], int(parts[2]), str(label), each)
            budgets.spend_unknown(*values)


def _counter(entry: Entry) -> int:
    """How far this node's books were, as the bank had seen them."""
    seen = _fields(entry).get("yours" if entry.direction == "sent" else "books") if entry.fields[:1] == "{" else None
    return int(seen.get("counter", 0)) if isinstance(seen, dict) else 0


def _share(entry: Entry) -> float:
    """The information share that a reply has told."""
    if entry.direction != "received" or not entry.fields.startswith("{"):
        return 0.0
    return float(_fields(entry).get("information_share", 0.0))


def _fields(entry: Entry) -> dict[str, Any]:
    try:
        found = json.loads(entry.fields)
    except ValueError:  # a long line is cut
        return {}
    return found if isinstance(found, dict) else {}


def _spend_all(budgets: Budgets, config: PartnerConfig, approvals: Approvals) -> None:
    """Take all that was ever approved as spent: equations of every use, the information share, and all bits."""
    account = config.policy.account
    for listed in approvals.all():
        approval = listed.approval
        if approval is None:
            continue
        for use in range(1, approval.uses + 1):
            label, equations = f"lost/{approval.job}/{use}", approval.workload.equations
            budgets.spend_unknown(config.bank, account, approval.job, use, label, equations)
    budgets.set_share(config.bank, account, LOST, config.contract.max_information_share)
    budgets.add_bits(config.bank, account, Bits({EVERY_COLUMN: _EVERYTHING}))
