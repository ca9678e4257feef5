"""What the commands have in common: how they end."""

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
