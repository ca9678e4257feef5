"""The parties of a finished run once more, under another job: its dealt tables, with keys, budgets and ledgers anew."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from bank_node.record.facts import RunFacts, read_facts
from bank_node.settings.config import load_config as load_bank
from experiments.run.deal import Dealt, DealtParty
from experiments.run.launch import Progress, train_in_process
from experiments.run.nodes import approve_at, write_nodes
from partner_node.config import load_config as load_partner
from protocol.errors import UsageError
from protocol.files import own_folder, write_whole
from protocol.job import Job, load_job
from protocol.settings import parse_toml
from protocol.table import TableSpec
from protocol.table.dates import Periods


@dataclass(frozen=True)
class Finished:
    """A finished run: its job, its parties' tables, and whether its partners enforced their equation budget."""

    folder: Path
    job: Job
    parties: dict[str, DealtParty]
    enforced: bool


def finished(folder: Path) -> Finished:
    """A run that `fedwarn run` has left. Raises: UsageError: it has no nodes of its parties."""
    job, facts = load_job(folder / "job.toml"), read_facts(folder)
    configs = {str(parse_toml(p)["party"]): p for p in sorted((folder / "nodes").glob("*/node.toml"))}
    absent = [party for party in job.parties if party not in configs]
    if absent:
        raise UsageError("fedwarn", f"{folder} has no node of {absent[0]}", "give the folder of a `fedwarn run`")
    update: dict[str, Any] = {"engine": facts.engine, "transport": "in-process"}
    job = job.model_copy(update={"run": job.run.model_copy(update=update)})
    parties, enforced = {}, False
    for name, path in configs.items():
        if name not in job.parties:
            continue
        config = load_bank(path) if name == job.bank else load_partner(path)
        spec = TableSpec(**{key: getattr(config.data, key) for key in TableSpec.model_fields})
        periods = Periods(**{key: getattr(config.data, key) for key in Periods.model_fields})
        parties[name] = DealtParty(name, path.parent, config.data.source, spec, periods)
        enforced |= name != job.bank and load_partner(path).policy.equation_budget == "enforced"
    return Finished(folder, job, parties, enforced)


def train_again(run: Finished, job: Job, out: Path, progress: Progress) -> RunFacts:
    """Train another job over the same tables, in this process; or take it from `out`, where it is done.

    job: of the same parties, each with some of its columns. Raises: FedwarnError.
    """
    if _is_done(job, out):
        return read_facts(out)
    dealt = Dealt({})
    for name, party in run.parties.items():
        folder = own_folder(out / "nodes" / party.folder.name)
        spec = party.spec.model_copy(update={"columns": job.parties[name].columns})
        dealt.parties[name] = replace(party, folder=folder, spec=spec)
    nodes = write_nodes(job, dealt, run.enforced)
    values = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    write_whole(out / "job.toml", tomli_w.dumps(values).encode())
    approve_at(nodes, job)
    train_in_process(job, nodes, out, progress)
    return read_facts(out)


def _is_done(job: Job, out: Path) -> bool:
    if not ((out / "facts.json").is_file() and (out / "scores.csv").is_file()):
        return False
    facts = read_facts(out)
    return (facts.job_sha256, facts.engine) == (job.sha256, job.run.engine)
