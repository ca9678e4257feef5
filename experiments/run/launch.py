"""Starting a scenario's nodes: in one process, each in a process of its own, or on Flower."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from experiments.run.flower_environment import flower_python
from experiments.run.nodes import Nodes
from experiments.run.sandbox import Place, our_variables, place_partners
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import FedwarnError, TransportError
from protocol.job import Job
from protocol.node.command import TALK
from protocol.transport.in_process import InProcess

Progress = Callable[[str, int, int], None]
Peaks = dict[str, float]
"""Peak resident memory by party, MiB."""

_START_S = 600.0
"""A node of thousands of columns reads them for minutes; one that ends is noticed at once."""
_STOP_S = 10.0


class NodeFailed(FedwarnError):
    """A node has ended with an error of its own: its exit code is ours, and so is its sentence.

    silent: it has said so on our stderr already.
    """

    def __init__(self, party: str, process: subprocess.Popen[bytes], silent: bool = False) -> None:
        said = _said(process)
        super().__init__(said.get("party", party), said["thing"], said["remedy"])
        self.code, self._silent = int(said["exit_code"]), silent and "party" in said

    def __str__(self) -> str:
        return "" if self._silent else super().__str__()


def _said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The error that an ended node has put last on its stdout, or how it ended if it could not."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(b'{"error": '):
            error: dict[str, Any] = json.loads(line)["error"]
            return error
    code = process.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"has ended with code {code}"
    remedy = "read its log in the run's folder, and run again"
    return {"thing": f"its node {how}", "remedy": remedy, "exit_code": TransportError.exit_code}


def train_in_process(job: Job, nodes: Nodes, out: Path, progress: Progress) -> Peaks:
    """All nodes in this process; everything that passes between them is bytes all the same."""
    with ExitStack() as stack:
        services = {p: stack.enter_context(PartnerService(load_partner(nodes.configs[p]))) for p in job.partners}
        transport = InProcess(job.bank, {p: service.serve for p, service in services.items()})
        node = stack.enter_context(BankNode(load_bank(nodes.configs[job.bank]), transport, progress))
        node.train(job, (out / "job.toml").read_text(encoding="utf-8"), out, TALK.say)
    return {}


def train_between_processes(
    job: Job, nodes: Nodes, out: Path, progress: Progress, places: Mapping[str, Place] | None = None
) -> Peaks:
    """A process a party, mTLS between them. All are stopped, whatever happens.

    places: where the partners' nodes run; without them, in this environment and as this user.
    Raises: NodeFailed: of the first node that failed.
    """
    places = places or place_partners(job, nodes, out, None)
    logs = {p: out / "logs" / f"{nodes.configs[p].parent.name}.log" for p in job.partners}
    (out / "logs").mkdir(exist_ok=True)
    with ExitStack() as stack:
        partners = {p: stack.enter_context(_partner(places[p], nodes.configs[p], logs[p])) for p in job.partners}
        for partner, process in partners.items():
            _await_health(partner, process, nodes.health[partner])
        command = [sys.executable, "-m", "bank_node", "train", str(out / "job.toml"), "--no-report"]
        command += ["--config", str(nodes.configs[job.bank]), "--out", str(out), "--json"]
        command += ["--log-format", TALK.log_format, *(["--quiet"] if TALK.quiet else [])]
        bank = stack.enter_context(_process(command, None, {"env": our_variables()}))
        if bank.wait():
            raise NodeFailed(job.bank, bank, silent=True)
        return {partner: peak_rss_mib(process.pid) for partner, process in partners.items()}


def train_on_flower(job: Job, nodes: Nodes, out: Path, progress: Progress) -> Peaks:
    """The bank in a process of its own on Flower's simulation engine, partners in Ray's workers. Raises: NodeFailed."""
    config = nodes.configs[job.bank]
    command = [str(flower_python()), "-m", "experiments.flower", "--out", str(out), "--config", str(config)]
    command += ["--json", "--log-format", TALK.log_format, *(["--quiet"] if TALK.quiet else [])]
    with _process(command, None, {"env": our_variables()}) as simulation:
        if simulation.wait():
            raise NodeFailed(job.bank, simulation, silent=True)
    return {}


def _partner(place: Place, config: Path, log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = place.command("serve", "--config", str(config.resolve()), "--quiet", "--json")
    return _process(command, log, place.options())


@contextmanager
def _process(command: list[str], log: Path | None, options: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A child process, stopped at the end: asked first, then made to. log: of its stderr, else it is ours.

    Its stdout is a pipe for the one JSON object that it ends with: a full disk cannot swallow the reason. Its stdin is
    a pipe that nothing is written to: should we be killed, it is closed, and the child ends by itself.
    """
    with ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(
            [*command, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            **options,
        )
        assert process.stdin
        assert process.stdout
        stack.enter_context(process.stdin)
        stack.enter_context(process.stdout)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_health(partner: str, process: subprocess.Popen[bytes], address: str) -> None:
    """Until the partner's health port answers. Raises: NodeFailed, TransportError: it did not come up."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NodeFailed(partner, process)
        try:
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise TransportError(partner, "its node did not come up", "read its log in the run's folder")


def peak_rss_mib(pid: int) -> float:
    """Of a living process; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next(
        (round(int(line.split()[1]) / 1024, 1) for line in status.splitlines() if line.startswith("VmHWM")), 0.0
    )
