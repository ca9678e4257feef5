"""A state folder that is put back to a copy is noticed, and answers nothing; power cuts lose nothing that was told."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bank_node.config import load_config as load_bank
from bank_node.node import BankNode
from experiments.attacks.scene import made_up
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.budgets import Allowance, Asked, Budgets
from partner_node.policy.opening import open_budgets
from partner_node.policy.policy import APPROVALS, Approvals
from partner_node.policy.recovery import recover
from protocol.errors import DataError, RefusedError, UsageError
from protocol.he.streams import fresh_key
from protocol.job import load_job
from protocol.node.keys import FILE, keeper_of
from protocol.transport.in_process import InProcess

WHO = ("bank", "data")
JOB = "a" * 64
KEY = b"k" * 32


def opened(folder: Path, **options) -> Budgets:
    return Budgets(folder / "budgets.sqlite", "telecom", KEY, **options)


def spend(budgets: Budgets, label: str) -> None:
    run = budgets.open_run(*WHO, JOB, b"n" * 32, b"e" * 32, None)
    with budgets.spending():
        budgets.spend(*WHO, "rows", run, [Asked(label, b"question", 2)], Allowance(None, None))


# -- claims ----------------------------------------------------------------------------------------------------------


def test_a_later_state_with_our_own_signature_is_believed_and_a_claim_without_is_not(tmp_path):
    budgets = opened(tmp_path)
    spend(budgets, "one")
    budgets.close()
    backup = shutil.copy(tmp_path / "budgets.sqlite", tmp_path / "copy")
    budgets = opened(tmp_path)
    spend(budgets, "two")
    later = budgets.books.state()
    budgets.close()
    shutil.copy(backup, tmp_path / "budgets.sqlite")
    budgets = opened(tmp_path)
    budgets.books.shown(msgspec.structs.replace(later, counter=later.counter + 5))
    budgets.books.shown(msgspec.structs.replace(later, signature=bytes(64)))
    budgets.books.require_current()
    budgets.books.shown(later)
    with pytest.raises(RefusedError, match=r"older copy.*recover"):
        budgets.books.require_current()
    budgets.close()
    with pytest.raises(RefusedError, match="older copy"):
        opened(tmp_path).books.require_current()


def test_another_history_of_the_same_length_is_noticed(tmp_path):
    budgets = opened(tmp_path)
    spend(budgets, "one")
    budgets.close()
    backup = shutil.copy(tmp_path / "budgets.sqlite", tmp_path / "copy")
    budgets = opened(tmp_path)
    spend(budgets, "two")
    told = budgets.books.state()
    budgets.close()
    shutil.copy(backup, tmp_path / "budgets.sqlite")
    budgets = opened(tmp_path)
    spend(budgets, "other")
    assert budgets.books.counter == told.counter
    budgets.books.shown(told)
    with pytest.raises(RefusedError, match="older copy"):
        budgets.books.require_current()


def test_an_anchor_notices_a_copy_while_the_bank_keeps_silent(tmp_path):
    anchor = tmp_path / "elsewhere"
    budgets = opened(tmp_path, anchor=anchor)
    spend(budgets, "one")
    budgets.close()
    backup = shutil.copy(tmp_path / "budgets.sqlite", tmp_path / "copy")
    budgets = opened(tmp_path, anchor=anchor)
    spend(budgets, "two")
    budgets.close()
    opened(tmp_path, anchor=anchor).books.require_current()
    shutil.copy(backup, tmp_path / "budgets.sqlite")
    with pytest.raises(RefusedError, match="its anchor at entry"):
        opened(tmp_path, anchor=anchor).books.require_current()


def test_books_that_are_gone_are_not_begun_anew(tmp_path):
    with pytest.raises(RefusedError, match="books are gone"):
        opened(tmp_path, lost=True).books.require_current()


# -- power cuts ------------------------------------------------------------------------------------------------------

VICTIM = """
import os, signal, sys
from pathlib import Path
import partner_node.policy.budgets as policy
import protocol.node.books as books

left = int(sys.argv[2])

def step():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    def __init__(self, base):
        self._base = base
    def execute(self, *arguments):
        step()
        out = self._base.execute(*arguments)
        step()
        return out
    def executemany(self, *arguments):
        step()
        return self._base.executemany(*arguments)
    def __getattr__(self, name):
        return getattr(self._base, name)

folder = Path(sys.argv[1])
made = policy.open_database
policy.open_database = lambda *arguments: Dying(made(*arguments))
budgets = policy.Budgets(folder / "budgets.sqlite", "telecom", b"k" * 32, folder / "anchor")
run = budgets.open_run("bank", "data", "a" * 64, b"n" * 32, b"e" * 32, None)
for label in ("one", "two"):
    with budgets.spending():
        asked = [policy.Asked(label, b"question", 2)]
        budgets.spend("bank", "data", "rows", run, asked, policy.Allowance(None, None))
    with open(folder / "told", "a") as told:
        told.write(label + "\\n")
        told.flush()
        os.fsync(told.fileno())
    step()
"""


def test_killed_at_every_step_nothing_that_was_told_is_forgotten(tmp_path):
    """An answer leaves after the commit: whatever was told is in the books, whole, and the node goes on."""
    ended = False
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        done = subprocess.run([sys.executable, "-c", VICTIM, folder, str(step)], capture_output=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        ended = done.returncode == 0
        told = (folder / "told").read_text().split() if (folder / "told").exists() else []
        budgets = opened(folder, anchor=folder / "anchor")
        budgets.books.require_current()
        spent = budgets.equations(*WHO)
        assert spent in {2 * len(told), 2 * len(told) + 2}, "all of a query, or nothing"
        run = budgets.open_run(*WHO, JOB, b"n" * 32, b"e" * 32, None)
        new = budgets.spend(*WHO, "rows", run, [Asked(label, b"question", 2) for label in told], Allowance(0, None))
        assert new == [], "what was told is not spent again"
        budgets.close()
        if ended:
            break
    assert ended
    assert step > 20


# -- whole nodes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    return made_up(folder, rows=300).source


def trained(out: Path) -> None:
    job = load_job(out / "job.toml")
    with PartnerService(load_partner(out / "nodes/partner/node.toml")) as service:
        transport = InProcess("bank", {"partner": service.serve})
        with BankNode(load_bank(out / "nodes/bank/node.toml"), transport, lambda *_: None) as node:
            node.train(job, (out / "job.toml").read_text(), out)


def test_a_partner_put_back_to_a_copy_answers_nothing_until_it_has_recovered(before, tmp_path):
    out = Path(shutil.copytree(before, tmp_path / "out"))
    trained(out)
    state = out / "nodes/partner/state"
    receipt = next((out / "receipts").glob("*.jsonl"))
    spent = Budgets(state / "budgets.sqlite", "partner").equations("bank", "")
    copy = shutil.copytree(before / "nodes/partner/state", tmp_path / "copy")
    for kept in ("partner.key", "bank-books.json"):
        if (state / kept).exists():
            shutil.copy(state / kept, copy / kept)
    secrets = load_partner(out / "nodes/partner/node.toml").secrets
    if secrets.is_relative_to(state):
        shutil.copytree(secrets, copy / secrets.relative_to(state), dirs_exist_ok=True)
    shutil.rmtree(state)
    shutil.copytree(copy, state)
    with pytest.raises(RefusedError, match=r"older copy, or was lost"):
        trained(out)
    config = load_partner(out / "nodes/partner/node.toml")
    budgets, approvals = open_budgets(config), Approvals(config.state / APPROVALS, config.party)
    with pytest.raises(UsageError, match="--receipt"):
        recover(config, budgets, approvals, [], False)
    done = recover(config, budgets, approvals, [receipt], False)
    assert done["equations"] >= spent > 0
    budgets.close()
    approvals.close()
    with pytest.raises(DataError, match="align --anew"):  # the copy was older than the alignment
        trained(out)


def test_a_key_whose_wrapping_key_is_erased_is_erased(tmp_path):
    keeper = keeper_of("telecom", tmp_path / "secrets")
    budgets = opened(tmp_path, keeper=keeper)
    epoch = fresh_key()
    run = budgets.open_run(*WHO, JOB, b"n" * 32, epoch, None)
    assert budgets.run(*WHO, JOB, run.number).epoch == epoch
    assert epoch not in (tmp_path / "budgets.sqlite").read_bytes()
    budgets.close()
    (tmp_path / "secrets" / FILE).unlink()
    budgets = opened(tmp_path, keeper=keeper_of("telecom", tmp_path / "secrets"))
    with pytest.raises(RefusedError, match="cannot be unwrapped"):
        budgets.run(*WHO, JOB, run.number)


def test_a_run_past_its_audit_window_is_closed_for_good(tmp_path):
    budgets = opened(tmp_path)
    run = budgets.open_run(*WHO, JOB, b"n" * 32, b"e" * 32, None)
    assert budgets.close_runs() == 1
    with pytest.raises(RefusedError, match="closed for good"):
        budgets.run(*WHO, JOB, run.number)
