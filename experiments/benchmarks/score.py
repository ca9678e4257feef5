"""How much more memory scoring takes for ten times the rows: it should hardly be more."""

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import duckdb

from bank_node.data.rows import open_rows
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from experiments.benchmarks.jobs import random_job
from experiments.run.launch import peak_rss_mib, train_in_process
from experiments.run.prepare import prepare, write_parties
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.transport.in_process import InProcess

TRAINED: Final = 20_000
"""Rows of the training, and of the partner's table."""


def benchmark_score(rows: int = 100_000, partner_columns: int = 10, trees: int = 20) -> dict[str, Any]:
    """Peak memory of a process that scores `rows` rows, its partner in it, over that of one with a tenth of them.

    partner_columns: 0 scores by the bank's own model, without any partner.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job, scenario = random_job(folder, TRAINED, max(1, partner_columns), bins=16, trees=trees)
        out = folder / "run"
        prepare(out, fresh=False)
        _, nodes = write_parties(job, scenario, out)
        train_in_process(job, nodes, out, _quiet)
        rung = "bank+partner" if partner_columns else "bank"
        (few, less_s), (many, ours_s) = (_measured(out, rung, folder, count) for count in (rows // 10, rows))
    return {
        "ratio": many / few,
        "ours_s": ours_s,
        "reference_s": less_s,
        "peak_mib": {str(rows // 10): few, str(rows): many},
        "threads": os.cpu_count(),
        "settings": {
            "rows": rows,
            "partner_columns": partner_columns,
            "trees": trees,
            "reference": f"{rows // 10} rows",
        },
    }


def _measured(out: Path, rung: str, folder: Path, rows: int) -> tuple[float, float]:
    """Peak MiB and seconds of scoring so many rows, in a process of its own."""
    data = folder / f"{rows}.csv"
    with duckdb.connect() as base:
        columns = ", ".join(f"random() * 4 - 2 AS b{j}" for j in range(10))
        base.execute(f"COPY (SELECT range AS id, {columns} FROM range({rows})) TO '{data}' (HEADER)")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_score, out, rung, data).result()


def _score(out: Path, rung: str, data: Path) -> tuple[float, float]:
    began = time.perf_counter()
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models" / rung / "boosting")
    with PartnerService(load_partner(out / "nodes/partner/node.toml")) as partner:
        transport = InProcess("bank", {"partner": partner.serve})
        with open_rows(config, model, data, data.parent) as rows, BankNode(config, transport, _quiet) as node:
            node.score_file(model, rows, data.with_suffix(".scores"), set())
    return peak_rss_mib(os.getpid()), time.perf_counter() - began


def _quiet(phase: str, done: int, total: int) -> None:
    """No progress."""
