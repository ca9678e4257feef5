"""Workers on this machine: so many processes, each of which runs one run after another.

A worker that dies takes one run with it, which has failed; another is started in its place.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.studies.sweep.folders import RunFolder
from protocol.errors import TransportError

Told = Callable[[str, str, dict[str, Any] | None], None]
"""Told a run's name, what it is at ("rung all", "done", "failed"), and by what it failed."""


def run_locally(sweep: Path, names: Sequence[str], pages: bool, workers: int, told: Told) -> None:
    """Run these, so many at a time."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    (sweep / "logs").mkdir(exist_ok=True)
    lines = [_Line(sweep, pages, number, workers, waiting, told) for number in range(min(workers, len(names)))]
    try:
        for line in lines:
            line.start()
        for line in lines:
            line.join()
    finally:
        for line in lines:
            line.end()
    for line in lines:
        if line.bug:
            raise line.bug


class _Line(threading.Thread):
    """One worker after another, fed from what is waiting."""

    def __init__(
        self, sweep: Path, pages: bool, number: int, workers: int, waiting: "queue.SimpleQueue[str]", told: Told
    ) -> None:
        super().__init__(name=f"sweep-{number}", daemon=True)
        self._sweep, self._pages, self._number, self._waiting, self._told = sweep, pages, number, waiting, told
        self._threads = max(1, (os.cpu_count() or 1) // workers)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self.bug: BaseException | None = None

    def run(self) -> None:
        """Until nothing waits."""
        try:
            while not self._stopped:
                self._run_one(self._waiting.get_nowait())
        except queue.Empty:
            pass
        except BaseException as bug:
            self.bug = bug
        finally:
            self.end()

    def end(self) -> None:
        """Let the worker go; one that is at a run is ended."""
        self._stopped = True
        process, self._process = self._process, None
        if process and process.stdin:
            with suppress(OSError):
                process.stdin.close()
            process.wait()

    def _run_one(self, name: str) -> None:
        process = self._worker()
        assert process.stdin
        assert process.stdout
        task = {"sweep": str(self._sweep), "name": name, "pages": self._pages}
        with suppress(OSError):
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            said = json.loads(line)
            if "ended" in said:
                self._told(name, "failed" if said["error"] else "done", said["error"])
                return
            self._told(name, said["phase"], None)
        if self._stopped:
            return
        self._process = None
        self._told(name, "failed", self._died(name, process.wait()))

    def _died(self, name: str, code: int) -> dict[str, Any]:
        how = f"was ended by signal {-code}" if code < 0 else f"has ended with code {code}"
        error = {
            "party": "sweep",
            "thing": f"the worker of this run {how}",
            "remedy": f"read logs/worker-{self._number}.log, and retry it with --retry-failed",
            "exit_code": TransportError.exit_code,
        }
        RunFolder(self._sweep, name).fail(error)
        return error

    def _worker(self) -> "subprocess.Popen[str]":
        if self._process is None:
            with (self._sweep / "logs" / f"worker-{self._number}.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "experiments.studies.sweep.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env={**os.environ, "NUMBA_NUM_THREADS": str(self._threads)},
                )
        return self._process
