"""Node folders that are restored from a backup, by the commands: refused by name at both sides, and mended."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from experiments.run.prepare import write_demo
from protocol.job import load_job
from protocol.ledger import read_ledger
from tests.e2e.commands import ByHand, Ended, call, edit, end, refused
from tests.e2e.tables import scenario

MODELS = [
    {"kind": "boosting", "params": {"n_estimators": 2, "max_depth": 2, "max_bin": 8}},
    {"kind": "glm", "params": {"max_bin": 4, "min_iv": 0.0}},
]


@pytest.fixture
def hand(tmp_path: Path) -> ByHand:
    """A bank and a partner whose anchor lies in a folder of its own, and a job of trees and a linear model."""
    path = edit(
        scenario(tmp_path, models=MODELS, contract={"min_glm_columns": 2}), lambda v: v["parties"].pop("bureau")
    )
    write_demo(load_job(path), path, tmp_path / "dealt")
    return ByHand(tmp_path / "dealt", tmp_path / "made")


def backup(hand: ByHand, party: str) -> Path:
    return Path(shutil.copytree(hand.node(party) / "state", hand.folder / f"backup of {party}"))


def restore(hand: ByHand, party: str) -> None:
    shutil.rmtree(hand.node(party) / "state")
    shutil.move(hand.folder / f"backup of {party}", hand.node(party) / "state")


def recover(hand: ByHand, module: str, party: str, *arguments: object) -> Ended:
    return call(module, "recover", *arguments, "--config", hand.node(party) / "node.toml")


def train_anew(hand: ByHand) -> Ended:
    """Train in a new run: the journal of the one before is removed, as its error says."""
    for journal in (hand.node("bank") / "state/journals").iterdir():
        shutil.rmtree(journal)
    shutil.rmtree(hand.out, ignore_errors=True)
    return hand.train()


def test_a_restored_partner_is_refused_and_mended_by_the_receipt_of_the_run(hand: ByHand) -> None:
    path = backup(hand, "telecom")
    assert not list(path.glob("*-wal"))
    with hand.serving():
        assert hand.train().code == 0
    receipt, spent = hand.out / "receipts" / "bank.jsonl", _equations(hand)
    restore(hand, "telecom")
    process = hand.start_partner()
    refused(hand.bank("align", hand.job), 5, "telecom: its state folder is an older copy", "let telecom run `recover`")
    assert hand.bank("doctor", hand.job).code == 5
    process.terminate()
    said = end(process)
    assert said.code == 0
    assert "telecom refuses agreement.hello of bank (rule books): telecom: its state folder is" in said.stderr
    refused(recover(hand, "partner_node", "telecom"), 2, "recover needs the receipts of the bank", "--all-spent")
    refused(recover(hand, "partner_node", "telecom", "--receipt", hand.job), 7, "receipt")
    found = recover(hand, "partner_node", "telecom", "--receipt", receipt)
    assert (found.code, found.left) == (0, []), found
    assert found.json["equations"] == spent == _equations(hand) > 0
    assert found.json["runs"] == 1
    with hand.serving():
        refused(train_anew(hand), 3, "has no alignment by this name", "align --anew")
        assert hand.bank("align", hand.job, "--anew").code == 0
        assert train_anew(hand).code == 0
        assert hand.bank("doctor", hand.job).code == 0


def _equations(hand: ByHand) -> int:
    """All that the partner has released, by its budgets."""
    with closing(sqlite3.connect(hand.node("telecom") / "state/budgets.sqlite")) as base:
        (count,) = base.execute("SELECT COALESCE(SUM(equations), 0) FROM labels").fetchone()
    return int(count)


def test_a_restored_bank_is_refused_and_mended(hand: ByHand) -> None:
    with hand.serving():
        assert hand.bank("align", hand.job).code == 0
        backup(hand, "bank")
        assert hand.train().code == 0
        restore(hand, "bank")
        refused(hand.bank("align", hand.job), 5, "bank: its state folder is an older copy", "let bank run `recover`")
        theirs = hand.folder / "telecom.jsonl"
        assert (
            call("partner_node", "ledger", "receipt", theirs, "--config", hand.node("telecom") / "node.toml").code == 0
        )
        found = recover(hand, "bank_node", "bank", "--receipt", theirs)
        assert found.code == 0, found
        assert found.json["forgotten"]["telecom"] > 10
        assert hand.bank("align", hand.job).code == 0


def test_a_bank_that_keeps_silent_is_stopped_by_the_anchor(hand: ByHand) -> None:
    (hand.folder / "disk").mkdir()
    hand.change("telecom", anchor="../../disk/anchor")
    with hand.serving():
        assert hand.bank("align", hand.job).code == 0
    backup(hand, "telecom")
    with hand.serving():
        assert hand.train().code == 0
    restore(hand, "telecom")
    shutil.rmtree(hand.node("bank") / "state/seen")
    with hand.serving():
        refused(
            hand.bank("align", hand.job), 5, "telecom: its state folder is an older copy", "and its anchor at entry"
        )
    spent = recover(hand, "partner_node", "telecom", "--all-spent").json
    assert spent["equations"] > 0
    with hand.serving():
        refused(train_anew(hand), 5, "telecom: ", "all are used")
    reader = read_ledger(hand.node("telecom") / "state/ledger.sqlite")
    assert {entry.kind for entry in reader.entries()} <= {
        "agreement.hello", "agreement.welcome", "refusal", "alignment.start", "alignment.started", "run.opening",
        "binning.layout_query", "binning.layout", "binning.hint_query", "binning.hint",
    } | {entry.kind for entry in reader.entries() if entry.kind.startswith("alignment.")}  # fmt: skip
