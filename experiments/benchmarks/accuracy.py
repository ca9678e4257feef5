"""How close the federated models come to XGBoost on the joined table, on every rung of the main job.

Same rows, same gaps where a partner does not hold a customer. Every row is tested once, by models that were fitted
on the other three quarters: on one test part of 20,000 rows, precision at 5% moves by 0.015 from sample to sample,
which is nearly the difference looked for. A figure is a mean over the four folds; a difference is a mean of paired
differences, given with its standard error over the folds.

Ours are measured with every tree encrypted, once with noise and budgets off and once at the main job's contract; and
with all partners, by discovery and a fit of 300 trees at 0.07, at two information shares, against XGBoost with as many
trees. Engine `plaintext` stands in for `blind`: both grow the same model to the last bit, which the tests hold them to.
"""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bank_node.metrics.ranking import Ranking, evaluate
from experiments.benchmarks.tree import CSX, joined, scenario_columns, xgboost_model
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.job import Job, load_job
from protocol.job.boosting import boosting_models
from protocol.job.ladder import Rung, rungs
from protocol.messages import F64, I64
from protocol.table import Column, Table

_FOLDS: Final = 4
_MODELS: Final = ("xgboost", "off", "on")
"""XGBoost; ours with every tree encrypted, noise and budgets off; and at the main job's contract."""
_SLOW: Final = {"n_estimators": 300, "learning_rate": 0.07}
_SHARES: Final = (0.20, 0.35)
"""Information shares at which discovery is measured."""
_TARGETS: Final = {"auc": 0.003, "precision@0.05": 0.02}
Bools = npt.NDArray[np.bool_]
Metrics = dict[str, dict[str, float]]
"""Metric values by model."""


def benchmark_accuracy(trees: int = 100) -> dict[str, Any]:
    """AUC and precision at 5% of ours and XGBoost's by rung, and their differences; all cores, a fit on each."""
    job, began = load_job(CSX), time.perf_counter()
    ladder = rungs(job.bank, job.partners, job.run.ladder, False)
    scenario_columns(job)  # the data is fetched once, before the processes need it
    with ProcessPoolExecutor() as processes:
        fits = list(product(ladder, range(_FOLDS)))
        found = list(processes.map(partial(_fold, trees), *zip(*fits, strict=True)))
    results = {
        rung.name: _rung_result([metrics for (its, _), metrics in zip(fits, found, strict=True) if its == rung])
        for rung in ladder
    }
    with_all = [metrics for (its, _), metrics in zip(fits, found, strict=True) if its == ladder[-1]]
    largest = {
        f"{metric} {setting}": max((r["difference"][setting][metric] for r in results.values()), key=_size)
        for metric, setting in product(_TARGETS, ("off", "on"))
    }
    return {
        "ratio": max(_size(largest[f"{metric} off"]) / target for metric, target in _TARGETS.items()),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "largest_difference": largest,
        "rungs": results,
        "discovery": {name: _mean(with_all, name) for name in with_all[0] if name not in _MODELS},
        "settings": {
            "trees": trees, "folds": _FOLDS, "targets": _TARGETS,
            "reference": "xgboost hist on the joined table with the same gaps",
        },
    }  # fmt: skip


def _mean(folds: list[Metrics], model: str) -> dict[str, float]:
    """Means over the folds of one model's metrics, encrypted trees and equations a matched row."""
    return {key: float(np.mean([fold[model][key] for fold in folds])) for key in folds[0][model]}


def _size(difference: dict[str, float]) -> float:
    return abs(difference["mean"])


def _rung_result(folds: list[Metrics]) -> dict[str, Any]:
    """Means by model, and ours less XGBoost's with its standard error, from the metrics of every fold."""
    values = {m: {name: np.array([fold[m][name] for fold in folds]) for name in _TARGETS} for m in _MODELS}
    result: dict[str, Any] = {m: {name: float(v.mean()) for name, v in values[m].items()} for m in _MODELS}
    result["difference"] = {
        m: {name: _paired(v - values["xgboost"][name]) for name, v in values[m].items()} for m in ("off", "on")
    }
    return result


def _paired(differences: F64) -> dict[str, float]:
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return {"mean": float(differences.mean()), "standard_error": float(error)}


@cache
def _loaded() -> tuple[Job, Table, dict[str, list[Column]], dict[str, I64]]:
    """The main job, its table, columns and partners' gaps: once a process."""
    job = load_job(CSX)
    table, columns = scenario_columns(job)
    return job, table, columns, {p: positions_of(job, p, table.rows) for p in job.partners}


def _fold(trees: int, rung: Rung, fold: int) -> Metrics:
    """Every model of one rung, fitted on the rows outside of a fold, measured on those in it."""
    job, table, columns, positions = _loaded()
    assert table.label is not None
    fitted = draw(job.run.seed, "folds").permutation(table.rows) % _FOLDS != fold
    params = boosting_models(job)[0].params.model_copy(
        update={"n_estimators": trees, "learning_rate": 0.2, "discovery": "all"}
    )
    partners = {p: columns[p] for p in rung.partners}
    gaps = [with_gaps(c, positions[p] >= 0) for p, own in partners.items() for c in own]
    x = joined([*columns[job.bank], *gaps])
    scores = {"xgboost": _reference(params, x, table.label, fitted, fold)}
    for name, contract in (("off", OPEN), ("on", job.contract)):
        with tempfile.TemporaryDirectory() as folder:
            lab = Laboratory(table.label, columns[job.bank], partners, positions, Path(folder), contract)
            scores[name] = lab.train(params, job.run.seed + fold, fitted, rung.number).margin
    metrics = {name: metrics_of(table.label[~fitted], score[~fitted]) for name, score in scores.items()}
    if len(rung.partners) == len(job.partners):
        metrics |= _discovered(rung, fold, params.model_copy(update={**_SLOW, "discovery": "auto"}), fitted, x)
    return metrics


def _discovered(rung: Rung, fold: int, params: BoostingParams, fitted: Bools, x: F64) -> Metrics:
    """Discovery and refit at the shares measured, and XGBoost with as many trees."""
    job, table, columns, positions = _loaded()
    assert table.label is not None
    judged = table.label[~fitted]
    found = {"xgboost 300": metrics_of(judged, _reference(params, x, table.label, fitted, fold)[~fitted])}
    for share in _SHARES:
        contract = job.contract.model_copy(update={"max_information_share": share})
        partners = {p: columns[p] for p in rung.partners}
        with tempfile.TemporaryDirectory() as folder:
            lab = Laboratory(table.label, columns[job.bank], partners, positions, Path(folder), contract)
            trained = lab.train(params, job.run.seed + fold, fitted, rung.number)
        told = {f"share {view.name}": view.known.information_share for view in lab.task.partners}
        found[f"discovery {share:.2f}"] = {
            **metrics_of(judged, trained.margin[~fitted]),
            "encrypted_trees": trained.encrypted_trees,
            "queries": trained.queries,
            **told,
        }
    return found


def _reference(params: BoostingParams, x: F64, label: F64, fitted: Bools, seed: int) -> F64:
    """XGBoost's scores. seed: chooses the columns that a tree may use."""
    model = xgboost_model(params).set_params(random_state=seed).fit(x[fitted], label[fitted])
    scores: F64 = model.predict_proba(x)[:, 1]
    return scores


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
