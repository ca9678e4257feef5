"""What the commands have in common: how they end."""

import json
import os
import subprocess
import sys

import pytest

STRUCK = """
import os, signal
from protocol.node.command import app, main
verbs = app("A command whose library turns an interruption into an error of its own.")
@verbs.command()
def work() -> None:
    try:
        os.kill(os.getpid(), signal.{sent})
        signal.pause()
    except KeyboardInterrupt as struck:
        raise SystemError("returned a result with an exception set") from struck
main(verbs, "worker")
"""


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_what_fails_after_the_signal_is_an_interruption(sent):
    ended = subprocess.run(
        [sys.executable, "-c", STRUCK.format(sent=sent)], capture_output=True, text=True, env=os.environ, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "worker: it was interrupted; run it again.\n")


def test_what_fails_without_one_is_a_bug():
    failing = STRUCK.format(sent="SIGTERM").replace("os.kill(os.getpid(), signal.SIGTERM)", "raise KeyboardInterrupt")
    ended = subprocess.run([sys.executable, "-c", failing], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "by a bug of its own" in ended.stderr


REFUSED = """
from dataclasses import dataclass
from protocol.errors import RefusedError
from protocol.messages import Message, Refusal, declared, encode
from protocol.node.command import app, main
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession
from protocol.role import ask, drive
verbs = app("A command that asks what a partner refuses.")
@declared("test.asked", content="nothing", purpose="test commands")
class Asked(Message, frozen=True):
    pass
def refuse(sent):
    refusal = Refusal(code=5, party="telecom", thing="it is spent", remedy="ask less", rule="a_clause")
    return {p: Envelope(e.session, e.sequence, Refusal.KIND, encode(refusal)) for p, e in sent.items()}
@verbs.command()
def work() -> None:
    drive(ask({"telecom": Asked()}, Asked), BankSession(refuse).exchange)
main(verbs, "worker")
"""


def test_a_refusal_stands_once_on_the_console_and_in_the_log_besides():
    shown, logged = (
        subprocess.run([sys.executable, "-c", REFUSED, *options], capture_output=True, text=True, check=False)
        for options in ((), ("--log-format", "json"))
    )
    assert (shown.returncode, shown.stderr) == (5, "telecom: it is spent; ask less.\n")
    line, sentence = logged.stderr.splitlines()
    assert sentence == "telecom: it is spent; ask less."
    assert json.loads(line)["level"] == "WARNING"
    assert json.loads(line)["message"] == "telecom refuses test.asked (rule a_clause): telecom: it is spent"
