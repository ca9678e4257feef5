"""A partner whose process is stopped is named within 30 seconds, and the run goes on once it is continued."""

import os
import signal
import time

import pytest

from tests.e2e.commands import ByHand, call, edit, end, refused, start, wait_for
from tests.e2e.tables import scenario

NAMED_S = 30
WORDS = ("telecom: takes connections at ", "does not answer", "let its operator continue it")


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """Node folders of a bank and a partner, for a training of some seconds."""
    folder = tmp_path_factory.mktemp("stalled")
    params = {"n_estimators": 60, "max_depth": 3, "max_bin": 8, "discovery": "all"}
    report = {"bootstrap": 20, "placebo": False}
    job = scenario(folder, 500, models=[{"kind": "boosting", "params": params}], report=report)
    edit(job, lambda values: values["parties"].pop("bureau"))
    made = call("experiments", "new", "nodes", job, "--out", folder / "dealt")
    assert made.code == 0, made
    return ByHand(folder / "dealt", folder / "run")


def test_a_stopped_partner_is_named_and_the_run_goes_on_when_it_is_continued(hand):
    partner = hand.start_partner()
    try:
        training = hand.start_training()
        wait_for(lambda: hand.journal_bytes() > 20_000 or training.poll() is not None)
        os.kill(partner.pid, signal.SIGSTOP)
        before = time.monotonic()
        ended = end(training)
        seconds = time.monotonic() - before
        print(f"named after {seconds:.1f} s")
        sentence = refused(ended, 6, *WORDS)
        assert "start it" not in sentence
        assert seconds < NAMED_S
        assert not (hand.out / "report.json").exists()

        again = start("bank_node", "train", hand.job, "--out", hand.out, "--config", hand.node("bank") / "node.toml")
        wait_for(lambda: again.poll() is not None, NAMED_S)
        said = end(again)
        assert said.code == 6, "a partner that is stopped from the start is named as well"
        assert all(word in said.stderr for word in WORDS), said.stderr

        os.kill(partner.pid, signal.SIGCONT)
        kept = hand.journal_bytes()
        whole = hand.train()
        assert (whole.code, whole.left) == (0, []), whole
        assert kept > 20_000
        assert set(hand.models()) == {"bank", "bank+telecom"}
    finally:
        os.kill(partner.pid, signal.SIGCONT)
        partner.terminate()
        end(partner)
