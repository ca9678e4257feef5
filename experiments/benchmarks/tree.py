"""What a whole federated fit costs, over XGBoost's on the joined table.

Ours: binning at all parties, hints, and all trees, two partners in one process: by discovery, which is the default,
with as many trees as XGBoost and with three times as many, and with every tree encrypted. The reference: `fit()` alone
of XGBoost `hist` with one thread, on the columns of all parties joined. Alignment is a cost of its own
(`benchmark align`).
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data import ensure
from experiments.data.own import SCENARIOS
from experiments.laboratory import Laboratory
from experiments.laboratory.warm import warm_kernels
from protocol.algorithms.parameters import BoostingParams
from protocol.contract import Contract
from protocol.errors import UsageError
from protocol.job import Job, load_job
from protocol.messages import F64
from protocol.table import Column, Table, TableSpec, read_table

CSX = SCENARIOS / "csx.toml"
_BANK_COLUMNS = 10


def benchmark_tree(rows: int = 60_000, partner_columns: int = 0, bins: int = 16, trees: int = 100) -> dict[str, Any]:
    """The ratio on real loans (csx), or on a random table of `rows` x (10 + partner_columns) if columns are given."""
    y, bank, partners = _random(rows, partner_columns) if partner_columns else _csx(rows)
    params = BoostingParams(
        n_estimators=trees, max_depth=3, learning_rate=0.2, max_bin=bins, reg_lambda=5.0, colsample_bytree=0.8
    )
    warm_kernels()
    reference_s = _xgboost(y, [*bank, *(c for columns in partners.values() for c in columns)], params)
    fits = {
        "discovery": params,
        "discovery, three times the trees": params.model_copy(update={"n_estimators": 3 * trees}),
        "every tree encrypted": params.model_copy(update={"discovery": "all"}),
    }
    seconds = {name: _ours(y, bank, partners, fitted) for name, fitted in fits.items()}
    return {
        "ratio": seconds["discovery"] / reference_s,
        "ours_s": seconds["discovery"],
        "reference_s": reference_s,
        "ratios": {name: s / reference_s for name, s in seconds.items()},
        "threads": os.cpu_count(),
        "settings": {
            "rows": len(y), "bank_columns": len(bank), "bins": bins, "trees": trees,
            "partner_columns": {name: len(columns) for name, columns in partners.items()},
            "reference": "xgboost hist, nthread=1, fit() on the joined table",
        },
    }  # fmt: skip


def _ours(y: F64, bank: list[Column], partners: dict[str, list[Column]], params: BoostingParams) -> float:
    with tempfile.TemporaryDirectory() as folder:
        positions = {name: np.random.default_rng(1).permutation(len(y)) for name in partners}
        laboratory = Laboratory(y, bank, partners, positions, Path(folder), Contract(), "blind")
        began = time.perf_counter()
        laboratory.train(params)
        return time.perf_counter() - began


def _xgboost(y: F64, columns: list[Column], params: BoostingParams) -> float:
    x, model = joined(columns), xgboost_model(params)
    began = time.perf_counter()
    model.fit(x, y)
    return time.perf_counter() - began


def joined(columns: Sequence[Column]) -> F64:
    """The columns of all parties as XGBoost takes them, shape (n, d), nan where missing; categories by their codes."""
    return np.stack(
        [c.numbers if c.kind == "number" else np.where(c.codes < 0, np.nan, c.codes) for c in columns], axis=1
    )


def xgboost_model(params: BoostingParams) -> Any:
    """XGBoost `hist` with the same parameters, one thread. Raises: UsageError: it is not installed."""
    try:
        import xgboost
    except ImportError:
        raise UsageError("benchmark", "XGBoost is not installed", "run `make bench-env`") from None
    same = ("n_estimators", "max_depth", "learning_rate", "max_bin", "reg_lambda", "colsample_bytree")
    return xgboost.XGBClassifier(tree_method="hist", nthread=1, **{name: getattr(params, name) for name in same})


def _csx(rows: int) -> tuple[F64, list[Column], dict[str, list[Column]]]:
    """The first rows of the main job's table, in order of id."""
    job = load_job(CSX)
    table, columns = scenario_columns(job)
    assert table.label is not None
    chosen = np.arange(table.rows) < rows
    kept = {name: [c.rows(chosen) for c in own] for name, own in columns.items()}
    return table.label[chosen], kept.pop(job.bank), kept


def scenario_columns(job: Job) -> tuple[Table, dict[str, list[Column]]]:
    """A scenario's whole table in order of id, and its columns by party."""
    assert job.data.source
    ensure(job.data.source.path)
    every = tuple(c for party in job.parties.values() for c in party.columns)
    data = job.data
    spec = TableSpec(
        id=data.id, columns=every, label=data.label, missing=data.missing, categorical=data.categorical,
        ordered=data.ordered,
    )  # fmt: skip
    table = read_table(job.data.source, spec, "data")
    return table, {n: [c for c in table.columns if c.name.split(".")[0] in p.columns] for n, p in job.parties.items()}


def _random(rows: int, partner_columns: int) -> tuple[F64, list[Column], dict[str, list[Column]]]:
    """Normal columns; the label follows the first one of each party. Two partners share the columns."""
    rng = np.random.default_rng(7)

    def columns(prefix: str, count: int) -> list[Column]:
        values = rng.standard_normal((count, rows))
        return [Column(f"{prefix}{j}", "number", numbers=values[j]) for j in range(count)]

    bank = columns("b", _BANK_COLUMNS)
    half = (partner_columns + 1) // 2
    partners = {"first": columns("f", half), "second": columns("s", partner_columns - half)}
    partners = {name: own for name, own in partners.items() if own}
    margin = bank[0].numbers + sum(own[0].numbers for own in partners.values()) - 2.0
    y = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.float64)
    return y, bank, partners
