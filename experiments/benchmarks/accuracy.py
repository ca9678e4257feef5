"""How close the federated models come to XGBoost on the joined table, on every rung of the main job.

Same rows, same parts, same gaps where a partner does not hold a customer. Once with noise and budgets off, once at
the main job's contract. Engine `plaintext` stands in for `blind`: both grow the same model to the last bit, which
the tests hold them to.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bank_node.evaluation.metrics import Ranking, evaluate
from bank_node.parts import assign_parts
from experiments.benchmarks.tree import CSX, joined, scenario_columns, xgboost_model
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.job import Job, load_job
from protocol.ladder import rungs
from protocol.messages import F64, I64
from protocol.table import Column

_SEEDS = 2
Bools = npt.NDArray[np.bool_]


def benchmark_accuracy(trees: int = 100) -> dict[str, Any]:
    """AUC and precision at 5% of ours and XGBoost's, and the largest differences, both ways."""
    job = load_job(CSX)
    table, columns = scenario_columns(job)
    fitted = assign_parts(job.split, table) == "train"
    params = job.models[0].params.model_copy(update={"n_estimators": trees})
    positions = {p: positions_of(job, p, table.rows) for p in job.partners}
    began, results = time.perf_counter(), {}
    assert table.label is not None
    for rung in rungs(job.bank, job.partners, job.run.ladder, False):
        partners = {p: columns[p] for p in rung.partners}
        gaps = [with_gaps(c, positions[p] >= 0) for p, own in partners.items() for c in own]
        x = joined([*columns[job.bank], *gaps])
        theirs = _reference(params, x, table.label, fitted)
        ours = {}
        for name, contract in (("off", OPEN), ("on", job.contract)):
            found = []
            for seed in range(job.run.seed, job.run.seed + _SEEDS):
                with tempfile.TemporaryDirectory() as folder:
                    lab = Laboratory(table.label, columns[job.bank], partners, positions, Path(folder), contract)
                    margin = lab.train(params, seed, fitted, rung.name).margin
                found.append(metrics_of(table.label[~fitted], margin[~fitted]))
            ours[name] = _mean(found)
        results[rung.name] = {"xgboost": theirs, **ours}
    largest = {
        f"{metric} {setting}": max(abs(r[setting][metric] - r["xgboost"][metric]) for r in results.values())
        for metric in ("auc", "precision@0.05")
        for setting in ("off", "on")
    }
    return {
        "ratio": largest["auc off"] / 0.003,
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "largest_difference": largest,
        "rungs": results,
        "settings": {"trees": trees, "reference": "xgboost hist on the joined table with the same gaps"},
    }


def _reference(params: BoostingParams, x: F64, label: F64, fitted: Bools) -> dict[str, float]:
    """XGBoost's metrics, the mean over seeds, which choose the columns that a tree may use."""
    found = []
    for seed in range(_SEEDS):
        model = xgboost_model(params).set_params(random_state=seed).fit(x[fitted], label[fitted])
        found.append(metrics_of(label[~fitted], model.predict_proba(x[~fitted])[:, 1]))
    return _mean(found)


def _mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([metrics[name] for metrics in found])) for name in found[0]}


def positions_of(job: Job, partner: str, rows: int) -> I64:
    """The rows that a partner holds, as the main job deals them."""
    held = draw(job.run.seed, "coverage", partner).permutation(rows)[: round(job.parties[partner].coverage * rows)]
    positions = np.full(rows, -1, dtype=np.int64)
    positions[held] = held
    return positions


def with_gaps(column: Column, held: Bools) -> Column:
    if column.kind == "number":
        return Column(column.name, "number", numbers=np.where(held, column.numbers, np.nan))
    return Column(column.name, "category", codes=np.where(held, column.codes, -1).astype(np.int32))


def metrics_of(label: F64, score: F64) -> dict[str, float]:
    values = evaluate(Ranking.of(label.astype(np.uint8), score), np.ones((1, len(label))), [0.05], True)
    return {name: float(values[name][0]) for name in ("auc", "precision@0.05")}
