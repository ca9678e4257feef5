"""A worker process of a sweep: it reads a run a line from stdin, and tells on stdout how it goes.

It ends with its stdin: however the sweep is killed, no worker outlives it, and the run that it was at has no mark of
being done.
"""

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until stdin closes. What libraries print goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    from experiments.studies.sweep.one_run import run_one  # after stdin is watched: it takes a second

    def progress(phase: str, done: int, total: int) -> None:
        if done in (0, total):
            print(json.dumps({"phase": phase}), file=told)

    while True:
        task = tasks.get()
        error = run_one(Path(task["sweep"]), task["name"], task["pages"], progress)
        print(json.dumps({"ended": task["name"], "error": error}), file=told)


def _read(tasks: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
