"""`partner-node recover`: resuming work after the state folder was lost, or restored from an older copy.

This node does not know what it answered since the copy was made. Receipts of the bank and its own
ledger say it, or everything that was ever approved counts as spent. All runs are closed: their noise
epochs are erased, so that none of their labels is answered again. The books open a new epoch, in
which runs have numbers that no lost run has had.

A receipt is the bank's own word. A partner that does not trust it takes `--all-spent`. The flood
budget of hints is not recovered: what it bounds, 2^-40, doubles at worst with each recovery.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from partner_node.config import PartnerConfig
from partner_node.policy.budgets import Budgets
from partner_node.policy.policy import Approvals
from partner_node.policy.readable import EVERY_COLUMN, Bits
from protocol.algorithms.agreement import Welcome
from protocol.algorithms.runs import RunOpened
from protocol.algorithms.scoring import ScoringQuery
from protocol.errors import IntegrityError, UsageError
from protocol.ledger.ledger import read_ledger
from protocol.ledger.receipts import Receipt, intact_receipt

LOST: Final = b"lost"
ALL_SPENT: Final = "give --all-spent, which counts all that was ever approved as spent"
_EVERYTHING: Final = 1e18
_NO_LIMIT: Final = 1 << 62
"""What was released is entered, whatever the limit."""
_EQUATIONS: Final = 2
"""Of a node's label: its gradients and hessians."""
_LABEL: Final = re.compile(r"(?P<kind>[a-z]+)/(?P<job>[0-9a-f]{64})/(?P<run>[0-9]{1,9})(/[0-9]+)*")
_CUT: Final = re.compile(r"\.\.\. sha256 [0-9a-f]{64}$")
"""The end of a line that was cut (`protocol.messages.cleartext`)."""
Text = Annotated[str, Meta(max_length=300)]


class _State(msgspec.Struct, frozen=True):
    """A signed state of books, as a ledger shows it."""

    counter: Annotated[int, Meta(ge=0, le=1 << 62)]


class _Fields(msgspec.Struct, frozen=True):
    """What recovery reads of a message's cleartext, whatever its kind. A receipt comes from a peer: all is bounded."""

    labels: tuple[Text, ...] = ()
    label: Text = ""
    vectors: Annotated[int, Meta(ge=0, le=1 << 12)] = 0
    weight: object = None
    job: Text = ""
    run: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    alignment: Text = ""
    pool: Text = ""
    information_share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    books: _State | None = None


@dataclass(frozen=True)
class _Passed:
    """A message that passed between the bank and this node. asked: by the bank; else it is a reply to it."""

    kind: str
    asked: bool
    fields: _Fields

    @property
    def labels(self) -> list[tuple[str, str, int, str, int]]:
        """Labels that the message asks under: kind, job, run, label, equations."""
        if not self.asked:
            return []
        names = self.fields.labels or (self.fields.label,)
        each = _EQUATIONS if self.fields.labels else self.fields.vectors + (self.fields.weight is not None)
        found = [match for name in names if (match := _LABEL.fullmatch(name))]
        return [(match["kind"], match["job"], int(match["run"]), match[0], each) for match in found]

    @property
    def runs(self) -> set[tuple[str, int]]:
        """Runs that the message opened, or asks in: job, number."""
        if self.kind == RunOpened.KIND:
            return {(self.fields.job, self.fields.run)}
        return {(job, run) for _, job, run, _, _ in self.labels}

    @property
    def share(self) -> float:
        """The information share that a reply has named."""
        return 0.0 if self.asked else self.fields.information_share

    @property
    def counter(self) -> int:
        """How far this node's books were, as it showed them: the receipt has what passed before."""
        return self.fields.books.counter if self.kind == Welcome.KIND and self.fields.books else 0


def recover(
    config: PartnerConfig, budgets: Budgets, approvals: Approvals, receipts: Sequence[Path], all_spent: bool
) -> dict[str, Any]:
    """Enter what was answered since the copy as spent, close all runs, and open a new epoch: all of it, or nothing.

    Args:
        receipts: of the bank, or own ones.
        all_spent: count all that was ever approved as spent, too.

    Returns: what was entered: labels, equations, runs; the runs closed; and the books' counter.
    Raises:
        UsageError: neither receipts nor all_spent is given, or a receipt is of another party, or ends too early.
        IntegrityError: a receipt was changed.
    """
    if not receipts and not all_spent:
        raise UsageError(
            config.party, "recover needs the receipts of the bank, which say what was answered since the copy was made",
            f"give --receipt FILE, or {ALL_SPENT}",
        )  # fmt: skip
    account = config.policy.account
    passed = [one for receipt in _receipts(config, receipts) for one in _passed(config, receipt, all_spent)]
    if not all_spent:
        _require_all(config, budgets, passed)
    before = budgets.equations(config.bank, account)
    with budgets.spending():
        labels, runs = _spend(config, budgets, passed)
        if all_spent:
            runs += _spend_approved(config, budgets, approvals)
        if all_spent or labels:
            _spend_bits(config, budgets)
        closed = budgets.close_runs()
        counter = budgets.books.recover()
    spent = budgets.equations(config.bank, account) - before
    return {"counter": counter, "labels": labels, "equations": spent, "runs": runs, "runs_closed": closed}


def recovered_lines(found: dict[str, Any]) -> list[str]:
    """What a person is told of a recovery."""
    return [
        f"{found['equations']} equations under {found['labels']} labels that this node did not remember count as spent",
        f"{found['runs']} runs that it did not remember are entered, and {found['runs_closed']} open runs are closed",
        "approvals are those of the copy: withdraw again what was withdrawn since (`approve --list`)",
    ]


def _receipts(config: PartnerConfig, paths: Sequence[Path]) -> Iterator[Receipt]:
    """The receipts given, and the own ledger where there is one. Raises: UsageError, IntegrityError."""
    for path in paths:
        receipt = intact_receipt(path)
        if receipt.party not in (config.bank, config.party):
            raise UsageError(
                config.party, f"{path.name} is a receipt of {receipt.party!r}, and its bank is {config.bank!r}",
                "give a receipt of the bank",
            )  # fmt: skip
        yield receipt
    ledger = config.state / "ledger.sqlite"
    if ledger.exists():
        with closing(read_ledger(ledger)) as reader:
            yield Receipt(reader.party, reader.entries())


def _passed(config: PartnerConfig, receipt: Receipt, all_spent: bool) -> Iterator[_Passed]:
    """What passed between the two parties.

    Raises: UsageError: an entry is cut, and only all_spent covers it. IntegrityError: an entry is no message of ours.
    """
    ours = receipt.party == config.party
    for entry in receipt.entries:
        if entry.peer != (config.bank if ours else config.party):
            continue
        cut = _CUT.search(entry.fields) is not None
        if cut and not all_spent:
            thing = f"entry {entry.number} of the receipt of {receipt.party} is cut, since it was too long"
            raise UsageError(config.party, thing, ALL_SPENT)
        try:
            fields = _Fields() if cut or not entry.fields else msgspec.json.decode(entry.fields, type=_Fields)
        except msgspec.DecodeError:
            thing = f"its receipt has an entry whose fields cannot be read (entry {entry.number}, {entry.kind[:40]})"
            raise IntegrityError(receipt.party, thing, "export it again") from None
        yield _Passed(entry.kind, (entry.direction == "received") == ours, fields)


def _require_all(config: PartnerConfig, budgets: Budgets, passed: Sequence[_Passed]) -> None:
    """Raises: UsageError: the bank has proved a later state than the receipts reach."""
    reached, claimed = max((one.counter for one in passed), default=0), budgets.books.claimed
    if reached < claimed:
        thing = f"the receipts end at entry {reached} of its books, and the bank has proved entry {claimed}"
        raise UsageError(config.party, thing, f"give the bank's latest receipt, or {ALL_SPENT}")


def _spend(config: PartnerConfig, budgets: Budgets, passed: Sequence[_Passed]) -> tuple[int, int]:
    """Enter labels, runs, releases and the information share; how many labels and runs were unknown here."""
    bank, account = config.bank, config.policy.account
    labels = runs = 0
    for one in passed:
        runs += sum(budgets.spend_lost_run(bank, account, *run) for run in one.runs)
        for kind, job, run, label, equations in one.labels:
            if budgets.spend_lost_label(bank, account, job, run, label, equations):
                labels += 1
                if kind in ("release", "masked"):
                    _spend_release(config, budgets, label)
        if one.kind == ScoringQuery.KIND and one.asked:
            budgets.spend_release(bank, one.fields.alignment, one.fields.pool, _NO_LIMIT)
    share, known = max((one.share for one in passed), default=0.0), budgets.other_shares(bank, account, b"")
    if share > known:
        budgets.set_share(bank, account, LOST, share - known)
    return labels, runs


def _spend_release(config: PartnerConfig, budgets: Budgets, label: str) -> None:
    """Enter a release of scores, on every alignment that is kept: the receipt does not say on which it was."""
    for alignment in _alignments(config):
        budgets.spend_release(config.bank, alignment, label, _NO_LIMIT)


def _spend_approved(config: PartnerConfig, budgets: Budgets, approvals: Approvals) -> int:
    """Count all that was ever approved as spent, each approval once; how many uses that closes.

    What is entered already under a job is part of its plan. Expired and withdrawn approvals may have been used.
    """
    bank, account = config.bank, config.policy.account
    closed = 0
    for approval in [listed.approval for listed in approvals.all() if listed.approval]:
        planned = approval.workload.equations * approval.uses
        left = max(0, planned - budgets.equations(bank, account, approval.job))
        budgets.spend_lost_label(bank, account, approval.job, 0, f"lost/{approval.job}/{budgets.books.counter}", left)
        unused = approval.uses - budgets.runs(bank, account, approval.job)
        numbers = (n for n in range(1, approval.uses + 1) if budgets.spend_lost_run(bank, account, approval.job, n))
        closed += sum(1 for _ in zip(range(unused), numbers, strict=False))
    for alignment in _alignments(config):
        for number in range(int(config.contract.score_releases)):
            budgets.spend_release(bank, alignment, f"lost/{number}", _NO_LIMIT)
    budgets.set_share(bank, account, LOST, config.contract.max_information_share)
    return closed


def _spend_bits(config: PartnerConfig, budgets: Budgets) -> None:
    """Let the meter say that a bank that lies could have read everything: what answers told is not in receipts."""
    budgets.add_bits(config.bank, config.policy.account, Bits({EVERY_COLUMN: _EVERYTHING}))


def _alignments(config: PartnerConfig) -> list[str]:
    """Names of the alignments that are kept."""
    return [path.stem for path in (config.state / "alignments").glob("*.npz")]
