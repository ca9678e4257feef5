"""A run's place in a sweep's folder, and the marks by which a sweep knows what has become of it.

`done.json` is written last and whole, so that a run without it is not done, whatever killed it. `attempts.jsonl` has a
line when a run begins and one when it ends. A run that fails is moved to `failed/`, with what it said.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from bank_node.report.document import REPORT_FILE
from experiments.run.resume import DEALT_FILE
from protocol.errors import UsageError
from protocol.files import write_whole

State = Literal["planned", "begun", "done", "failed"]
DONE: Final = "done.json"
FAILED: Final = "failed.json"
_ATTEMPTS: Final = "attempts.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """One run of a sweep. sweep: the sweep's folder."""

    sweep: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self._failed if self._failed.is_dir() else self.sweep / "runs" / self.name

    @property
    def scenario(self) -> Path:
        """What it runs."""
        return self.sweep / "scenarios" / f"{self.name}.toml"

    @property
    def state(self) -> State:
        """What has become of it."""
        if self._failed.is_dir():
            return "failed"
        if (self.path / DONE).is_file():
            return "done"
        return "begun" if self.path.is_dir() else "planned"

    @property
    def finished(self) -> bool:
        """Whether the run itself had ended: killed between its end and its mark, it is not run again."""
        return (self.path / REPORT_FILE).is_file() and not (self.path / DEALT_FILE).is_file()

    @property
    def begun_well(self) -> bool:
        """Whether an unfinished run can be gone on with."""
        return (self.path / DEALT_FILE).is_file()

    @property
    def error(self) -> dict[str, Any]:
        """What a failed run has said."""
        found: dict[str, Any] = json.loads((self.path / FAILED).read_text(encoding="utf-8"))
        return found

    @property
    def seconds(self) -> float:
        """Wall clock of the attempt that finished it; 0 before."""
        path = self.path / DONE
        return float(json.loads(path.read_text())["seconds"]) if path.is_file() else 0.0

    def count(self, what: str) -> int:
        """How often it was `begun`, `finished` or `failed`."""
        path = self.path / _ATTEMPTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return sum(f'"what": "{what}"' in line for line in lines)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until no other process is at it. A task of a Ray cluster may outlive, for a while, who sent it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "run.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def begin(self) -> None:
        """It is about to run."""
        if self._failed.is_dir():
            (self._failed / FAILED).unlink(missing_ok=True)
            self._failed.rename(self.sweep / "runs" / self.name)
        self.path.mkdir(parents=True, exist_ok=True)
        self._note("begun")

    def finish(self, seconds: float) -> None:
        """It has run to its end; told once, though it was killed between telling and its mark."""
        if not self.count("finished"):
            self._note("finished")
        write_whole(self.path / DONE, json.dumps({"seconds": round(seconds, 3), "at": _now()}).encode(), 0o644)

    def fail(self, error: dict[str, Any]) -> None:
        """It has ended with an error; it is kept apart."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._note("failed")
        write_whole(self.path / FAILED, json.dumps(error, ensure_ascii=False).encode(), 0o644)
        self._failed.parent.mkdir(exist_ok=True)
        self.path.rename(self._failed)

    @property
    def _failed(self) -> Path:
        return self.sweep / "failed" / self.name

    def _note(self, what: str) -> None:
        """One line at once, and on the disk before what it tells of happens."""
        line = json.dumps({"what": what, "at": _now(), "process": os.getpid()}) + "\n"
        handle = os.open(self.path / _ATTEMPTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def the_only_one(sweep: Path) -> Iterator[None]:
    """Hold a sweep's folder. Raises: UsageError: another process does."""
    sweep.mkdir(parents=True, exist_ok=True)
    with (sweep / "sweep.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("sweep", f"{sweep.name} is being worked on", "wait for that process, or end it") from None
        yield


def clear(sweep: Path) -> None:
    """Take a sweep out of its folder, and nothing else."""
    for part in ("scenarios", "runs", "failed", "logs"):
        shutil.rmtree(sweep / part, ignore_errors=True)
    for name in ("sweep.json", "sweep.csv", "index.html"):
        (sweep / name).unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
