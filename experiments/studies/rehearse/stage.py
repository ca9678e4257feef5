"""The stage of a rehearsal: all nodes in this process, a signed contract, and a transport that counts."""

import tomllib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tomli_w

from bank_node.node.node import BankNode
from bank_node.settings.config import BankConfig
from bank_node.settings.config import load_config as load_bank
from experiments.run.deal import deal
from experiments.run.nodes import Nodes
from experiments.run.prepare import write_demo
from experiments.run.signing import sign_demonstration
from partner_node.config import PartnerConfig
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import TransportError
from protocol.files import folder_name, own_folder
from protocol.job import Job, load_job
from protocol.transport.in_process import InProcess
from protocol.wire.envelope import Envelopes

_ROOM: Final = 1.05
"""Ids that a contract admits, over those that the year's plan needs."""


@dataclass
class Counting:
    """A transport that counts exchanges with each partner, and to which some partners are out of reach."""

    inner: InProcess
    absent: set[str] = field(default_factory=set)
    count: Counter[str] = field(default_factory=Counter)

    def exchange(self, requests: Envelopes) -> Envelopes:
        """As the transport inside. Raises: TransportError: a partner is out of reach."""
        for partner in requests:
            if partner in self.absent:
                raise TransportError(partner, "is out of reach", "wait until it is back")
            self.count[partner] += 1
        return self.inner.exchange(requests)

    def close(self) -> None:
        """Close the transport inside."""
        self.inner.close()


@dataclass
class Stage:
    """Everything that a rehearsal works with. whole: each party's table of all customers."""

    out: Path
    job: Job
    nodes: Nodes
    whole: dict[str, Path]
    transport: Counting
    stack: ExitStack
    services: dict[str, PartnerService]

    @property
    def bank(self) -> BankConfig:
        """The bank's settings."""
        return load_bank(self.nodes.configs[self.job.bank])

    def partner(self, name: str) -> PartnerConfig:
        """A partner's settings, with what it has published."""
        return load_partner(self.nodes.configs[name])

    def table(self, party: str) -> Path:
        """Where a party's table lies."""
        return self.nodes.configs[party].parent / "data.parquet"

    def node(self) -> BankNode:
        """The bank's node on this stage; to be closed."""
        return BankNode(self.bank, _Open(self.transport), _quiet)


@dataclass
class _Open:
    """The stage's transport, which stays open when a node closes."""

    inner: Counting

    def exchange(self, requests: Envelopes) -> Envelopes:
        return self.inner.exchange(requests)

    def close(self) -> None:
        """Nothing: the stage closes it."""


def deal_whole(scenario: Path, out: Path) -> tuple[Job, dict[str, Path]]:
    """The scenario's job, and each party's table of all customers of the year. Raises: UsageError, DataError."""
    job = load_job(scenario)
    dealt = deal(job, own_folder(out / "whole"))
    return job, {name: party.source.path for name, party in dealt.parties.items()}


def set_up(scenario: Path, out: Path, whole: dict[str, Path], growth: float, stack: ExitStack) -> Stage:
    """Nodes for parties that bring their own tables, and a contract that both have signed, as its draft proposes.

    growth: customers at the end of the year over those of its beginning. Raises: UsageError, DataError, RefusedError.
    """
    path = out / "rehearsed.toml"
    path.write_text(tomli_w.dumps(_between_companies(scenario, out, growth)), encoding="utf-8")
    job = load_job(path)
    nodes = write_demo(job, path, out)
    sign_demonstration(job, out / "job.toml", nodes, out)
    services = {p: stack.enter_context(PartnerService(load_partner(nodes.configs[p]))) for p in job.partners}
    transport = Counting(InProcess(job.bank, {p: service.serve for p, service in services.items()}))
    return Stage(out, job, nodes, whole, transport, stack, services)


def _between_companies(scenario: Path, out: Path, growth: float) -> dict[str, Any]:
    """The scenario as a job between companies: each party brings its own table, and every clause is enforced."""
    values = tomllib.loads(scenario.read_text(encoding="utf-8"))
    values["data"].pop("source", None)
    for name, party in values["parties"].items():
        folder = own_folder(out / "nodes" / folder_name(name))
        party["source"] = {"kind": "parquet", "path": str(folder / "data.parquet")}
        for key in ("coverage", "strangers"):
            party.pop(key, None)
    values.setdefault("report", {})["placebo"] = False
    values.setdefault("run", {}).update({"engine": "blind", "alignment": "one-sided"})
    contract = values.setdefault("contract", {})
    contract["max_ids"] = max(1.5, round(_ROOM * growth, 2))
    contract["max_equations_share"] = contract.get("max_equations_share", 0.1)
    return values


def _quiet(phase: str, done: int, total: int) -> None:
    """No progress."""
