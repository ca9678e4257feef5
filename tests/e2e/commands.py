"""The commands as a user runs them, and what they leave behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

SENTENCE = re.compile(r"(?P<party>[^:]+): (?P<thing>[^;]+(; [^;]+)*); (?P<remedy>[^;]+)\.")
"""Party, thing and remedy, in one sentence."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended. left: what it started and that still runs."""

    code: int
    stdout: str
    stderr: str
    left: list[str]

    @property
    def json(self) -> Any:
        """The last line of stdout."""
        return json.loads(self.stdout.splitlines()[-1])


def start(module: str, *arguments: object, prelude: str = "", **options: Any) -> subprocess.Popen[str]:
    """A command in a session of its own. prelude: Python that is run before it."""
    command = [sys.executable, "-m", module]
    if prelude:
        command = [sys.executable, "-c", f"{prelude}; from {module}.__main__ import main; main()"]
    command += map(str, arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, text=True, start_new_session=True, **pipes, **options)


def end(process: subprocess.Popen[str], timeout_s: float = 90) -> Ended:
    """Wait for a command; what is left of its session is killed and told."""
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    finally:
        left = of_session(process.pid)
        if left:
            os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, stdout, stderr, left)


def call(module: str, *arguments: object, **options: Any) -> Ended:
    """Run a command to its end, quietly and with JSON."""
    return end(start(module, *arguments, "--quiet", "--json", **options))


def of_session(session: int) -> list[str]:
    """Command lines of the living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def refused(ended: Ended, code: int, *words: str) -> str:
    """The one sentence of a command that has ended as it should, with this exit code and all these words."""
    assert ended.code == code, ended
    assert ended.left == []
    *before, sentence = ended.stderr.splitlines()
    assert all("interrupted" in line for line in before), before  # the bank's node was, too
    parts = SENTENCE.fullmatch(sentence)
    assert parts, sentence
    error = ended.json["error"]
    assert sentence == f"{error['party']}: {error['thing']}; {error['remedy']}."
    assert error["exit_code"] == code
    missing = [word for word in words if word not in sentence]
    assert not missing, (missing, sentence)
    return sentence


def half_written(folder: Path) -> list[Path]:
    """What an unfinished run must not leave."""
    names = ("report.json", "report.html", "scores.csv", "absences.csv", "*.part")
    return [path for name in names for path in folder.rglob(name)]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a TOML file."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Until it holds."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(address: str) -> bool:
    """Whether a node's health port answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=1):
            return True
    except OSError:
        return False


class ByHand:
    """A bank and the partner telecom on node folders, started by hand, on ports of their own."""

    def __init__(self, dealt: Path, folder: Path) -> None:
        shutil.copytree(dealt, folder)
        self.folder, self.job, self.out = folder, folder / "job.toml", folder / "out"
        self.log = ""
        self.health = f"127.0.0.1:{free_port()}"
        self.listen = f"127.0.0.1:{free_port()}"
        self.change("telecom", listen=self.listen, health=self.health)
        self.change("bank", partners={"telecom": {"address": self.listen}}, patience_s=1.0)

    def node(self, party: str) -> Path:
        """A party's folder."""
        return self.folder / "nodes" / party

    def change(self, node: str, /, **keys: Any) -> None:
        """Set keys of a party's node.toml; tables are merged."""

        def put(values: dict[str, Any]) -> None:
            for key, value in keys.items():
                values[key] = {**values[key], **value} if key in values and isinstance(value, dict) else value

        edit(self.node(node) / "node.toml", put)

    def bank(self, verb: str, *arguments: object, **options: Any) -> Ended:
        """Run a verb of the bank's node."""
        return call("bank_node", verb, *arguments, "--config", self.node("bank") / "node.toml", **options)

    def train(self, **options: Any) -> Ended:
        """Train the job."""
        return end(self.start_training(**options))

    def start_training(self, **options: Any) -> subprocess.Popen[str]:
        """The bank's node, training the job."""
        config = self.node("bank") / "node.toml"
        talk = "--quiet", "--json"
        return start("bank_node", "train", self.job, "--out", self.out, "--config", config, *talk, **options)

    def partner(self, verb: str) -> Ended:
        """Run a verb of the partner's node."""
        return call("partner_node", verb, "--config", self.node("telecom") / "node.toml")

    def start_partner(self, **options: Any) -> subprocess.Popen[str]:
        """The partner's node, serving."""
        process = start("partner_node", "serve", "--config", self.node("telecom") / "node.toml", "--json", **options)
        wait_for(lambda: healthy(self.health) or process.poll() is not None)
        return process

    @contextmanager
    def serving(self, **options: Any) -> Iterator[None]:
        """The partner serves; at the end it is stopped and must end well. Its stderr is in `log` then."""
        process = self.start_partner(**options)
        try:
            yield
        finally:
            process.terminate()
            ended = end(process)
        self.log = ended.stderr
        assert (ended.code, ended.left) == (0, []), ended

    def models(self) -> dict[str, str]:
        """model_sha256 of every rung."""
        return {
            rung["name"]: rung["model_sha256"] for rung in json.loads((self.out / "report.json").read_text())["rungs"]
        }

    def journal_bytes(self) -> int:
        """Size of the bank's journal, 0 before there is one."""
        return sum(path.stat().st_size for path in (self.node("bank") / "state").glob("journals/*/replies"))
