"""A process that ends when the one that started it is gone, however that one ended.

Whoever starts a node with `--until-stdin-closes` keeps the writing end of a pipe on the node's standard input. When
it dies, be it by SIGKILL, the kernel closes the pipe, and the node ends itself as it does on SIGTERM: budgets, ledger
and journal are closed in order. It needs no help of the system beyond a pipe, survives changes of user, and holds
through any number of processes in between, none of which can keep a node alive that nobody waits for.
"""

import os
import signal
import threading
import time
from typing import Final

_STOP_S: Final = 10.0
"""How long an orderly end may take."""


def end_with_stdin() -> None:
    """Watch standard input from now on, in a thread of its own; what is written to it is ignored."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    """Until the end of the file. Not through sys.stdin: its lock would be held while the interpreter ends."""
    while _read():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _read() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""
