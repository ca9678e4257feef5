"""Node folders for a scenario: each party's settings beside its table, as if each had written them itself."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from experiments.run.deal import Dealt, DealtParty
from partner_node.config import load_config
from partner_node.policy.approving import approve
from protocol.files import write_whole
from protocol.job import Job, JobParty
from protocol.table import TableSpec


@dataclass(frozen=True)
class Nodes:
    """Where each party's node.toml lies, and where the partners listen and tell their health."""

    configs: dict[str, Path]
    addresses: dict[str, str]
    health: dict[str, str]


def write_nodes(job: Job, dealt: Dealt, enforce_equations: bool, demo: bool = True) -> Nodes:
    """Write node.toml for every party. enforce_equations: whether partners refuse past their equation budget."""
    addresses = {partner: f"127.0.0.1:{_free_port()}" for partner in job.partners}
    health = {partner: f"127.0.0.1:{_free_port()}" for partner in job.partners}
    configs = {name: party.folder / "node.toml" for name, party in dealt.parties.items()}
    for name, party in dealt.parties.items():
        common = _common(job, party, demo)
        if name == job.bank:
            values = {**common, "partners": {p: {"address": a} for p, a in addresses.items()}}
        else:
            policy = {
                "equation_budget": "enforced" if enforce_equations else "counted",
                "noise_seed": f"{job.run.seed}",
                **_told(job.parties[name]),
            }
            values = {**common, "bank": job.bank, "listen": addresses[name], "health": health[name], "policy": policy}
        write_whole(configs[name], tomli_w.dumps(values).encode())
    return Nodes(configs, addresses, health)


def approve_at(nodes: Nodes, job: Job) -> None:
    """Approve the job's file at every partner, as `partner-node approve` does there.

    Raises: UsageError, DataError: a partner's table cannot be used, or lacks a column of the job.
    """
    for partner in job.partners:
        approve(load_config(nodes.configs[partner]), job)


def _told(party: JobParty) -> dict[str, Any]:
    """What a partner tells of its columns."""
    told = {"names": party.names, "tell_bins": list(party.tell_bins)}
    return {key: value for key, value in told.items() if value}


def _common(job: Job, party: DealtParty, demo: bool) -> dict[str, Any]:
    """What both kinds of node have: name, the settings to agree on, the table, the contract."""
    return {
        "schema": 1,
        "party": party.name,
        "engine": job.run.engine,
        "alignment": job.run.alignment,
        "split_rows": job.run.split_rows,
        "demo": demo,
        "data": _data(party),
        "contract": job.contract.model_dump(),
    }


def _data(party: DealtParty) -> dict[str, Any]:
    path = party.source.path
    inside = path.name if path.parent == party.folder else str(path)
    source: dict[str, Any] = {"kind": party.source.kind, "path": inside, "sha256": party.source.sha256}
    spec: TableSpec = party.spec
    if party.source.snapshot:
        source["snapshot"] = party.source.snapshot
    values = {key: value for key, value in spec.model_dump(mode="json").items() if value not in (None, "", {})}
    periods = {key: value for key, value in party.periods.model_dump().items() if value}
    return {"source": source, **values, **periods}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
