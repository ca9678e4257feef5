"""`fedwarn check`: what was computed under encryption against the plain computation, with all tables in one place.

Only whoever dealt the tables out can do this: it reads every party's table of a run's folder.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np

from bank_node.data.parts import assign_parts
from bank_node.family.bin_names import name_of
from bank_node.linear.coarse_classing import joined_bins
from bank_node.record.facts import BinTable, read_facts
from bank_node.settings.config import BankConfig
from bank_node.settings.config import load_config as load_bank
from bank_node.training.own_table import read_own_table
from experiments.run.launch import train_in_process
from experiments.run.nodes import Nodes, approve_at
from experiments.verify.check_glm import check_models
from experiments.verify.joined import rows_behind
from partner_node.algorithms.binning import bin_table
from partner_node.config import PartnerConfig
from partner_node.config import load_config as load_partner
from protocol.algorithms.woe import Evidence
from protocol.errors import UsageError
from protocol.job import Job, load_job
from protocol.job.boosting import BoostingModel, boosting_models
from protocol.settings import parse_toml
from protocol.table import Table, read_table

Progress = Callable[[str, int, int], None]


def check_woe(folder: Path, progress: Progress) -> dict[str, float]:
    """Every information value of the partners' columns, as the run or a repeat of it found it, and in clear.

    A run whose job asks for no bin tables is repeated in this process, from fresh state and for one tree.
    Returns: max_abs_iv, the largest difference; columns, how many were compared.
    Raises: UsageError: the folder is not that of a run with its nodes.
    """
    job, configs = _job_of(folder)
    tables = read_facts(folder).bin_tables
    if not tables:
        with TemporaryDirectory() as place:
            tables = _repeated(job, configs, Path(place), progress)
    bank, worst, columns = load_bank(configs[job.bank]), 0.0, 0
    ours = read_own_table(bank, job)
    for partner in (p for p in job.partners if p in tables):
        plain = _in_clear(job, bank, ours, load_partner(configs[partner]))
        found = {table.column: table.iv for table in tables[partner]}
        columns += len(plain)
        worst = max([worst, *(abs(found[name] - iv) for name, iv in plain.items())])
    return {"max_abs_iv": worst, "columns": columns}


def check_glm(folder: Path, progress: Progress) -> dict[str, Any]:
    """The run's linear models, refitted with partial scores that are not rounded, against statsmodels.

    Returns: as `check_models`. Raises: UsageError: the folder is not that of a run with its nodes.
    """
    return check_models(*_job_of(folder), progress)


CHECKS: Final[dict[str, Callable[[Path, Progress], dict[str, Any]]]] = {"woe": check_woe, "glm": check_glm}


def _job_of(folder: Path) -> tuple[Job, dict[str, Path]]:
    """The job of a run, and the settings of its nodes by party."""
    facts, job = read_facts(folder), load_job(folder / "job.toml")
    paths = sorted((folder / "nodes").glob("*/node.toml"))
    configs = {str(parse_toml(path)["party"]): path for path in paths}
    absent = [party for party in facts.data.parties if party not in configs]
    if absent:
        raise UsageError("check", f"{folder} has no node of {absent[0]}", "give the folder of a `fedwarn run`")
    return job, configs


def _repeated(job: Job, configs: dict[str, Path], place: Path, progress: Progress) -> dict[str, list[BinTable]]:
    """The bin tables of the same job, in this process, with one tree on the shortest ladder."""
    copies = {}
    for party, path in configs.items():
        copies[party] = place / path.parent.name / path.name
        shutil.copytree(path.parent, copies[party].parent, ignore=shutil.ignore_patterns("state"))
    usual, *_ = *boosting_models(job), BoostingModel()
    params = usual.params.model_copy(update={"n_estimators": 1})
    update = {
        "models": (BoostingModel(params=params),),
        "report": job.report.model_copy(update={"bin_tables": True, "placebo": False}),
        "run": job.run.model_copy(update={"ladder": ((job.bank, *job.partners),)}),
    }
    shutil.copyfile(configs[job.bank].parents[2] / "job.toml", place / "job.toml")
    again, nodes = job.model_copy(update=update), Nodes(copies, {}, {})
    approve_at(nodes, again)
    train_in_process(again, nodes, place, progress)
    return read_facts(place).bin_tables


def _in_clear(job: Job, bank: BankConfig, table: Table, own: PartnerConfig) -> dict[str, float]:
    """Information values of a partner's columns, by their names in the report, from both tables joined."""
    theirs = read_table(own.data.source, own.data, own.party)
    label, train = table.label, assign_parts(job.split, table) == "train"
    assert label is not None
    contract = bank.contract.stricter(own.contract)
    least = contract.smallest_bin(theirs.rows)
    binned = bin_table(own.party, theirs.columns, job.cutting, least, own.data.monotone)
    rows = rows_behind(table, theirs, bank.grid)
    found = {}
    for j, shape in enumerate(binned.shapes):
        bins = np.where(rows >= 0, binned.bins[rows, j], shape.size)
        size = shape.size + bool((rows[train] < 0).any())
        plain = Evidence(*(np.bincount(bins[part], minlength=size) for part in (train, train & (label > 0))))
        told = msgspec.structs.replace(shape, name=own.policy.names.get(binned.names[j], ""))
        found[name_of(told)] = plain.joined(joined_bins(plain, shape, job.binning)).iv
    return found
