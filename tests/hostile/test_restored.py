"""A node whose state folder is an older copy: it answers nothing before `recover`, and a peer cannot make it do so.

The gain of a bank that gets at a restored copy is a label that is answered twice, or a use of an approval that is spent
twice. The control is the same restored copy without a claim and without an anchor, which answers.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bank_node.node.node import BankNode
from bank_node.partners.books import bank_books
from bank_node.settings.config import load_config as load_bank
from bank_node.training.recovery import recover as recover_bank
from partner_node.config import PartnerConfig
from partner_node.node.holdings import open_holdings
from partner_node.node.service import PartnerService
from partner_node.policy.approving import open_approvals
from partner_node.policy.opening import open_budgets
from partner_node.policy.recovery import recover
from protocol.algorithms.agreement import Hello, SignedState, Welcome, terms
from protocol.algorithms.checkup import Probe
from protocol.algorithms.runs import RunOpened, RunOpening
from protocol.errors import IntegrityError, RefusedError, UsageError
from protocol.ledger import export_receipt
from protocol.ledger.ledger import Entry, ReceiptHead, chain_start, chained
from protocol.ledger.receipts import read_receipt
from protocol.messages import Message
from protocol.node.books import EPOCH, RULE
from protocol.node.keys import FILE
from protocol.transport.in_process import InProcess
from tests.partner_node.policy.test_policy import Parties, quiet

NONCE = b"n" * 32


class Restored(Parties):
    """A bank and a partner whose state folders can be copied and put back."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    @property
    def bank_config(self):
        return load_bank(self.nodes.configs["bank"])

    def copy(self, party: str) -> Path:
        """A backup of a node at rest."""
        self.stop()
        to = self.folder / f"{party} copy"
        shutil.copytree(self.state(party), to)
        self.start()
        return to

    def restore(self, party: str, copy: Path) -> None:
        self.stop()
        shutil.rmtree(self.state(party))
        shutil.copytree(copy, self.state(party))
        self.start()

    def state(self, party: str) -> Path:
        return self.nodes.configs[party].parent / "state"

    def stop(self) -> None:
        self.approvals.close()
        self.bank.__exit__()
        self.service.__exit__()

    def start(self) -> None:
        self.service = PartnerService(self.partner)
        self.bank = BankNode(self.bank_config, InProcess("bank", {"telecom": self.service.serve}), quiet)
        self.approvals = open_approvals(self.partner)

    def hello(self, job: str | None = None, yours: SignedState | None = None) -> Welcome:
        """Greet as a bank that shows what it likes."""
        bank = self.bank_config
        own = terms(bank.party, bank.engine, bank.alignment, bank.split_rows, bank.contract)
        reply = self.say(Hello(terms=own, job=self.job.sha256 if job is None else job, yours=yours))
        assert isinstance(reply, Welcome)
        return reply

    def say(self, message: Message) -> Message:
        return self.service._node.handle("bank", message)

    def open_run(self, nonce: bytes = NONCE) -> int:
        reply = self.say(RunOpening(job=self.job.sha256, nonce=nonce))
        assert isinstance(reply, RunOpened)
        return reply.run

    def recover(self, *receipts: Path, all_spent: bool = False) -> dict[str, object]:
        self.stop()
        with closing(open_budgets(self.partner)) as budgets, closing(open_approvals(self.partner)) as approvals:
            found = recover(self.partner, budgets, approvals, receipts, all_spent)
        self.start()
        return found

    def anchored(self, config: PartnerConfig) -> None:
        self.stop()
        self.partner = config.model_copy(update={"anchor": self.folder / "anchor"})
        self.start()

    def receipt_of_bank(self) -> Path:
        path = self.folder / "bank receipt.jsonl"
        export_receipt(self.state("bank") / "ledger.sqlite", path, "bank")
        return path

    def spent(self) -> tuple[int, set[str]]:
        """Equations and labels in the budgets."""
        base = self.service._node._own.budgets.base
        rows = base.execute("SELECT label, equations FROM labels").fetchall()
        return sum(n for _, n in rows), {label for label, _ in rows}


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Restored]:
    made = Restored(tmp_path)
    made.approve(uses=2)
    yield made
    made.stop()


def test_the_control_a_restored_copy_that_nobody_notices_gives_a_run_away(parties):
    copy = parties.copy("telecom")
    parties.hello()
    assert parties.open_run() == 1
    parties.restore("telecom", copy)
    parties.hello()
    assert parties.open_run(b"m" * 32) == 1, "the same number for another run: its labels are answered twice"


def test_a_restored_partner_answers_nothing_but_greetings_to_a_bank_that_shows_its_state(parties, caplog):
    copy = parties.copy("telecom")
    parties.train()
    before = parties.spent()
    parties.restore("telecom", copy)
    assert parties.spent()[0] < before[0]
    for _ in range(2):  # also after a restart
        with pytest.raises(RefusedError, match=r"^telecom: its state folder is an older copy, or was lost: its peer"):
            parties.train()
        parties.restart()
    assert "telecom answers nothing: its peer has seen entry" in caplog.text
    assert parties.hello(job="").books is None, "a greeting is answered"
    for message in (Probe(time_s=0.0, filler=b"", wanted=0), RunOpening(job=parties.job.sha256, nonce=NONCE)):
        with pytest.raises(RefusedError) as error:
            parties.say(message)
        assert (error.value.exit_code, error.value.rule) == (5, RULE)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_copy_from_within_a_run_is_noticed_after_it(parties, when):
    """The bank greets once more at the end of a run, and then holds what the run has left."""
    copy = parties.copy("telecom") if when == "before" else None
    if copy is None:
        whole = parties.service._node.handle

        def copying(peer: str, message: Message) -> Message:
            nonlocal copy
            if copy is None and message.KIND == "boosting.handles":
                copy = parties.folder / "copy of a running node"
                shutil.copytree(parties.state("telecom"), copy)
            return whole(peer, message)

        parties.service._node.handle = copying
    parties.train()
    assert copy is not None
    parties.restore("telecom", copy)
    with pytest.raises(RefusedError, match="is an older copy"):
        parties.bank.align(parties.job, anew=False)


def test_a_restored_partner_with_an_anchor_answers_nothing_to_a_bank_that_keeps_silent(parties):
    parties.anchored(parties.partner)
    parties.hello()
    copy = parties.copy("telecom")
    assert parties.open_run() == 1
    parties.restore("telecom", copy)
    with pytest.raises(RefusedError, match=r"its books stand at entry \d+, and its anchor at entry \d+"):
        parties.hello()
    with pytest.raises(RefusedError):
        parties.open_run()
    parties.recover(all_spent=True)
    parties.hello()
    with pytest.raises(RefusedError, match="approved for 2 runs, and all are used"):
        parties.open_run()


def test_lost_books_are_noticed_by_the_approvals_or_the_anchor(parties):
    parties.stop()
    for path in parties.state("telecom").glob("budgets.sqlite*"):
        path.unlink()
    parties.start()
    with pytest.raises(RefusedError, match="its books are missing, and jobs were approved before"):
        parties.hello()
    parties.recover(all_spent=True)
    parties.hello()
    parties.anchored(parties.partner)
    parties.hello()
    parties.stop()
    shutil.rmtree(parties.state("telecom"))
    parties.start()
    with pytest.raises(RefusedError, match=r"its books stand at entry 0, and its anchor at entry \d{10}"):
        parties.hello()


def test_listing_approvals_of_a_new_node_makes_no_lost_books(tmp_path):
    parties = Restored(tmp_path)
    parties.stop()
    shutil.rmtree(parties.state("telecom"))
    with closing(open_approvals(parties.partner)) as approvals:
        assert approvals.all() == []
    parties.start()
    parties.approve()
    parties.hello()
    parties.stop()


def test_forged_claims_are_ignored(parties, caplog):
    true = parties.hello().books
    assert true is not None
    change = msgspec.structs.replace
    forged = [
        change(true, counter=true.counter + 1), change(true, root="0" * 64), change(true, signature=bytes(64)),
        change(true, counter=1 << 62, key=bytes(32)),
    ]  # fmt: skip
    with closing(open_budgets(parties.partner.model_copy(update={"state": parties.folder / "x"}))) as other:
        signed = other.books.sign()
        assert signed is not None
        forged += [signed, change(signed, counter=1 << 62)]
    for claim in forged:
        caplog.clear()
        parties.hello(yours=claim)
        assert caplog.messages == ["telecom was shown a state of its books that it has not signed, and ignores it"], (
            claim
        )
    assert parties.open_run() == 1


def test_recover_spends_what_the_receipts_say_and_closes_all_runs(parties):
    copy = parties.copy("telecom")
    parties.train()
    spent, labels = parties.spent()
    parties.restore("telecom", copy)
    with pytest.raises(RefusedError, match="is an older copy"):
        parties.train()
    with pytest.raises(UsageError, match="needs the receipts of the bank"):
        parties.recover()
    found = parties.recover(parties.receipt_of_bank())
    assert found == {
        "counter": EPOCH, "labels": len(labels), "equations": spent, "runs": 1, "runs_closed": 0,
    }  # fmt: skip
    assert parties.spent() == (spent, labels)
    parties.hello()
    budgets = parties.service._node._own.budgets
    with pytest.raises(RefusedError, match="closed for good"):
        budgets.run("bank", "table", parties.job.sha256, 1)
    assert parties.open_run() == 65_537, "no number that a lost run may have had"
    with pytest.raises(RefusedError, match="approved for 2 runs, and all are used"):
        parties.open_run(b"m" * 32)
    assert parties.recover(parties.receipt_of_bank())["labels"] == 0, "nothing is spent twice"


def test_a_receipt_that_ends_too_early_is_no_recovery(parties):
    copy = parties.copy("telecom")
    parties.bank.align(parties.job, anew=False)
    early = parties.receipt_of_bank().rename(parties.folder / "early.jsonl")
    parties.train()
    parties.restore("telecom", copy)
    shutil.rmtree(copy)
    with pytest.raises(RefusedError):
        parties.train()
    with pytest.raises(UsageError, match=r"the receipts end at entry \d+ of its books, and the bank has proved"):
        parties.recover(early)
    assert parties.recover(early, all_spent=True)["equations"]


def test_a_receipt_of_the_bank_is_not_trusted_in_its_form(parties):
    parties.hello()
    whole = {"labels": ["sums/x"], "vectors": 1}
    wrong = ({**whole, "labels": 5}, {**whole, "vectors": -1}, {"labels": ["x" * 301]}, {"information_share": 7}, [], 3)
    for fields in (*map(json.dumps, wrong), "{", "\x00", '{"run": 99999999999999999999}'):
        with pytest.raises(
            IntegrityError, match=r"bank: its receipt has an entry whose fields cannot be read .entry 1"
        ):
            parties.recover(_receipt(parties, fields))
    with pytest.raises(UsageError, match="entry 1 of the receipt of bank is cut, since it was too long; give"):
        parties.recover(_receipt(parties, '{"labels": ["su... sha256 ' + "0" * 64))
    for label in ("sums/1", f"sums/{'a' * 64}/{'9' * 30}/0", f"sums/{'a' * 64}/٣/0", "../../x"):
        assert parties.recover(_receipt(parties, json.dumps({"labels": [label]})))["labels"] == 0
    path = _receipt(parties, "{}")
    path.write_text(path.read_text().replace("{}", '{\\"x\\": 1}'))
    with pytest.raises(IntegrityError, match="was changed, taken out or moved"):
        parties.recover(path)


def _receipt(parties: Restored, fields: str) -> Path:
    entry = Entry(1, "", "sent", "telecom", "s", 1, "boosting.sums_query", 1, "", False, "", "", fields)
    entry = msgspec.structs.replace(entry, chain=chained(chain_start("bank"), entry))
    path = parties.folder / "made.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, (ReceiptHead("bank", 1), entry))))
    return path


def test_a_restored_bank_sends_nothing_more_before_it_recovers(parties):
    parties.bank.align(parties.job, anew=False)
    copy = parties.copy("bank")
    parties.train()
    parties.restore("bank", copy)
    with pytest.raises(RefusedError, match=r"^bank: its state folder is an older copy, or was lost: its peer"):
        parties.train()
    sent = len(read_receipt(parties.receipt_of_bank()).entries)
    with pytest.raises(RefusedError, match=r"^bank: its state folder is an older copy"):
        parties.train()
    assert len(read_receipt(parties.receipt_of_bank()).entries) == sent, "not even a greeting"
    theirs = parties.folder / "telecom.jsonl"
    export_receipt(parties.state("telecom") / "ledger.sqlite", theirs, "telecom")
    found = recover_bank(parties.bank_config, [theirs])
    assert found["counter"] == EPOCH
    assert found["forgotten"]["telecom"] > 5
    parties.train()


def test_a_partner_cannot_stop_a_bank_by_claims_that_the_bank_has_not_signed(parties):
    handle = parties.service._node.handle

    def lying(peer: str, message: Message) -> Message:
        reply = handle(peer, message)
        if isinstance(reply, Welcome):
            state = SignedState("bank", 1 << 62, "0" * 64, bytes(32), bytes(64))
            reply = msgspec.structs.replace(reply, yours=state, books=msgspec.structs.replace(state, party="telecom"))
        return reply

    parties.service._node.handle = lying
    parties.train()
    assert list((parties.state("bank") / "seen").iterdir()) == [], "and what is not signed is not kept"


def test_a_closed_run_is_said_in_one_sentence_and_a_new_one_is_offered(parties):
    parties.train()
    wrapping = parties.bank_config.secrets / "wrapping.key"
    key = wrapping.read_bytes()
    wrapping.unlink()
    with pytest.raises(RefusedError, match=r"^bank: the keys of this run cannot be unwrapped: .*; remove the"):
        parties.train()
    wrapping.write_bytes(key)
    parties.train()
    recover_bank(parties.bank_config, [])
    with pytest.raises(RefusedError, match=r"^bank: the keys of this run were erased by `recover`, or 90 days .*run"):
        parties.train()
    for journal in (parties.state("bank") / "journals").iterdir():
        shutil.rmtree(journal)
    parties.train()
    with bank_books(parties.bank_config) as books:
        assert books.counter > EPOCH


def test_a_run_whose_wrapping_key_is_erased_is_never_answered_again(parties):
    parties.hello()
    parties.open_run()
    budgets = parties.service._node._own.budgets
    epoch = budgets.run("bank", "table", parties.job.sha256, 1).epoch
    parties.stop()
    assert not any(epoch in path.read_bytes() for path in parties.state("telecom").glob("budgets.sqlite*"))
    (parties.partner.secrets / FILE).unlink()
    parties.start()
    with pytest.raises(RefusedError, match="a key of this run cannot be unwrapped"):
        parties.service._node._own.budgets.run("bank", "table", parties.job.sha256, 1)
    parties.hello()
    assert parties.open_run(b"m" * 32) == 2


def test_an_erased_noise_epoch_is_gone_from_the_file(parties):
    """The wrapped epoch stands in no page of the database and in no log, and the run is never answered again."""
    parties.hello()
    parties.open_run()
    (wrapped,) = parties.service._node._own.budgets.base.execute("SELECT epoch FROM runs").fetchone()
    files = [parties.state("telecom") / f"budgets.sqlite{end}" for end in ("", "-wal")]
    assert any(wrapped in path.read_bytes() for path in files)
    parties.service._node._own.budgets.close_runs()
    assert not any(wrapped in path.read_bytes() for path in files if path.exists())
    with pytest.raises(RefusedError):
        parties.service._node._own.budgets.run("bank", "table", parties.job.sha256, 1)


def test_names_that_leave_confirm_no_guess_of_the_table(parties):
    """A bank that guesses the whole file right cannot see that it did: all names are MACs under the partner's key."""
    parties.train()
    other = parties.folder / "other"
    shutil.copytree(parties.nodes.configs["telecom"].parent, other, ignore=shutil.ignore_patterns("state", "secrets"))
    real = parties.partner.model_copy(
        update={"policy": parties.partner.policy.model_copy(update={"noise_seed": ""}), "state": other / "state"}
    )
    names = []
    for folder in ("one", "two"):
        own = open_holdings(real.model_copy(update={"state": other / folder}), None)
        names.append({own.data, own.name_of("layout", b"x"), own.name_of("pool", b"x")})
        assert own.table.sha256 not in str(own.data)
        own.close()
    assert not names[0] & names[1], "the same table has other names at another node"
