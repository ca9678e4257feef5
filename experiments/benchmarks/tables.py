"""How close the federated models come to XGBoost on public tables of different size and shape.

For every table: the same rows, the same parts, the same gaps where a partner does not hold a customer, noise and
budgets off, on every rung of the ladder. A table under 10,000 rows is split again and again, since one split of few
rows moves AUC by more than what is looked for. XGBoost takes categories as categories, as the nodes do. Engine
`plaintext` stands in for `blind`: both grow the same model to the last bit, which the tests hold them to.
"""

import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bank_node.data.parts import assign_parts
from experiments.benchmarks.accuracy import metrics_of, positions_of, with_gaps
from experiments.benchmarks.tree import joined, scenario_columns, xgboost_model
from experiments.data.own import SCENARIOS
from experiments.laboratory import OPEN, Laboratory
from protocol.job import Job, load_job
from protocol.job.boosting import boosting_models
from protocol.job.ladder import Rung, rungs
from protocol.messages import F64, I64
from protocol.table import Column, Table

TABLES: Final = ("kazakh", "german", "taiwan", "csx", "sba")
_FEW_ROWS: Final = 10_000


@dataclass(frozen=True)
class DealtOut:
    """One table dealt out. columns: by party; positions: by partner, the row that it holds or -1."""

    job: Job
    table: Table
    columns: dict[str, list[Column]]
    positions: dict[str, I64]

    @property
    def tolerance(self) -> float:
        """The difference of AUC that is looked for."""
        return 0.02 if self.table.rows < _FEW_ROWS else 0.005

    @property
    def splits(self) -> int:
        """How often the rows are split anew."""
        return 8 if self.table.rows < _FEW_ROWS else 1


def benchmark_tables(rows: int = 1_000_000) -> dict[str, Any]:
    """AUC of ours and of XGBoost by table and rung. rows: at most so many of a table, the first in order of id."""
    began, results, worst = time.perf_counter(), {}, 0.0
    for name in TABLES:
        dealt = dealt_out(load_job(SCENARIOS / f"{name}.toml"), rows)
        ladder = rungs(dealt.job.bank, dealt.job.partners, "auto", False)
        found = {rung.name: _differences(dealt, rung) for rung in ladder}
        worst = max(worst, *(abs(rung["difference"]) / dealt.tolerance for rung in found.values()))
        results[name] = {"rows": dealt.table.rows, "tolerance": dealt.tolerance, "splits": dealt.splits, "rungs": found}
    return {
        "ratio": worst,
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "tables": results,
        "settings": {"rows": rows, "reference": "xgboost hist on the joined table with the same gaps"},
    }


def dealt_out(job: Job, rows: int) -> DealtOut:
    table, columns = scenario_columns(job)
    assert table.label is not None
    kept = np.arange(table.rows) < rows
    columns = {party: [c.rows(kept) for c in own] for party, own in columns.items()}
    table = replace(table, ids=table.ids[:rows], label=table.label[kept], columns=())
    return DealtOut(job, table, columns, {p: positions_of(job, p, table.rows) for p in job.partners})


def _differences(dealt: DealtOut, rung: Rung) -> dict[str, float]:
    """Mean AUC of both over the splits, and the mean and the largest difference."""
    pairs = np.array([_one_split(dealt, rung, dealt.job.split.seed + k) for k in range(dealt.splits)])
    differences = pairs[:, 0] - pairs[:, 1]
    ours, theirs = pairs.mean(axis=0)
    return {
        "ours": float(ours),
        "xgboost": float(theirs),
        "difference": float(differences.mean()),
        "largest_in_one_split": float(np.abs(differences).max()),
    }


def _one_split(dealt: DealtOut, rung: Rung, seed: int) -> tuple[float, float]:
    job, y = dealt.job, dealt.table.label
    assert y is not None
    fitted = assign_parts(job.split.model_copy(update={"seed": seed}), dealt.table) == "train"
    partners = {p: dealt.columns[p] for p in rung.partners}
    with tempfile.TemporaryDirectory() as folder:
        lab = Laboratory(y, dealt.columns[job.bank], partners, dealt.positions, Path(folder), OPEN)
        params = boosting_models(job)[0].params.model_copy(update={"discovery": "all"})
        margin = lab.train(params, seed, fitted, rung.number).margin
    return _auc(y, margin, ~fitted), _auc(y, _xgboost(dealt, rung, y, fitted, seed), ~fitted)


def _xgboost(dealt: DealtOut, rung: Rung, y: F64, fitted: npt.NDArray[np.bool_], seed: int) -> F64:
    gaps = [with_gaps(c, dealt.positions[p] >= 0) for p in rung.partners for c in dealt.columns[p]]
    columns = [*dealt.columns[dealt.job.bank], *gaps]
    kinds = ["c" if c.kind == "category" else "q" for c in columns]
    model = xgboost_model(boosting_models(dealt.job)[0].params)
    model.set_params(random_state=seed, nthread=os.cpu_count(), enable_categorical=True, feature_types=kinds)
    x = joined(columns)
    score: F64 = model.fit(x[fitted], y[fitted]).predict_proba(x)[:, 1].astype(np.float64)
    return score


def _auc(label: F64, score: F64, tested: npt.NDArray[np.bool_]) -> float:
    return metrics_of(label[tested], score[tested])["auc"]
