"""What discovery costs on other tables: its AUC beside that of trees that are all encrypted, at the same budget.

Public credit tables, dealt out as their scenarios say, all partners, the default contract with its noise. Every split
into training and test rows is drawn anew; a difference is a mean over the splits.
"""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bank_node.data.parts import assign_parts
from experiments.benchmarks.accuracy import metrics_of
from experiments.benchmarks.tables import dealt_out
from experiments.data.own import SCENARIOS
from experiments.laboratory import Laboratory
from protocol.contract import Contract
from protocol.job import load_job
from protocol.job.boosting import boosting_models
from protocol.job.ladder import rungs

TABLES: Final = ("german", "taiwan", "sba", "kazakh")
TOLERANCE: Final = 0.003
"""By how much the mean AUC may lie below that of trees that are all encrypted."""


def benchmark_discovery(rows: int = 20_000, splits: int = 8, trees: int = 100) -> dict[str, Any]:
    """Mean AUC by table and way of training. rows: at most so many of a table. ratio: worst loss over the tolerance."""
    began, results = time.perf_counter(), {}
    for name in TABLES:
        dealt_out(load_job(SCENARIOS / f"{name}.toml"), rows)  # fetched once, before the processes need it
    with ProcessPoolExecutor() as processes:
        for name in TABLES:
            found = list(processes.map(partial(_one_split, name, rows, trees), range(splits)))
            auto, every = np.array(found).T
            results[name] = {
                "discovery": float(auto.mean()),
                "all": float(every.mean()),
                "difference": float((auto - every).mean()),
                "standard_error": float((auto - every).std(ddof=1) / np.sqrt(splits)) if splits > 1 else 0.0,
            }
    worst = max(-result["difference"] for result in results.values())
    return {
        "ratio": max(0.0, worst / TOLERANCE),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "tables": results,
        "settings": {
            "rows": rows, "splits": splits, "trees": trees, "tolerance": TOLERANCE,
            "reference": 'discovery = "all" at the default contract',
        },
    }  # fmt: skip


def _one_split(name: str, rows: int, trees: int, split: int) -> tuple[float, float]:
    """AUC on the test rows with discovery, and with every tree encrypted."""
    dealt = dealt_out(load_job(SCENARIOS / f"{name}.toml"), rows)
    job, label = dealt.job, dealt.table.label
    assert label is not None
    seed = job.split.seed + split
    fitted = assign_parts(job.split.model_copy(update={"seed": seed}), dealt.table) == "train"
    rung = rungs(job.bank, job.partners, "auto", False)[-1]
    partners = {p: dealt.columns[p] for p in rung.partners}
    usual, aucs = boosting_models(job)[0].params.model_copy(update={"n_estimators": trees}), []
    for discovery in ("auto", "all"):
        with tempfile.TemporaryDirectory() as folder:
            lab = Laboratory(label, dealt.columns[job.bank], partners, dealt.positions, Path(folder), _contract(rows))
            params = usual.model_copy(update={"discovery": discovery})
            margin = lab.train(params, seed, fitted, rung.number).margin
        aucs.append(metrics_of(label[~fitted], margin[~fitted])["auc"])
    return aucs[0], aucs[1]


def _contract(rows: int) -> Contract:
    """The default, but for the equation budget, which small tables would pass with every tree encrypted."""
    return Contract(max_equations_share=float(rows))
