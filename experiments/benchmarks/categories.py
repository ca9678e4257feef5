"""What a column of noise of 500 categories costs in AUC, at the bank or at its partner, on made-up tables.

A table has two numbers that tell something of the label, one of each party's, and the column of noise. The cost is the
AUC without the column less that with it, on 4,000 further rows, averaged over seeds. The bound is 0.002.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.benchmarks.accuracy import metrics_of
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.messages import F64
from protocol.table import Column

_BOUND: Final = 0.002
_LEVELS: Final = 500
_TESTED: Final = 4_000
_SEEDS: Final = 20
_BINS: Final = (16, 64)


def benchmark_categories(rows: int = 8_000) -> dict[str, Any]:
    """Mean cost of the column over 20 seeds, by bins and party. rows: that are trained on."""
    began = time.perf_counter()
    found = {f"{bins} bins, {party}": _cost(rows, bins, party) for bins in _BINS for party in ("bank", "partner")}
    return {
        "ratio": max(cost["mean"] for cost in found.values()) / _BOUND,
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "costs": found,
        "settings": {"rows": rows, "levels": _LEVELS, "seeds": _SEEDS, "bound": _BOUND},
    }


def _cost(rows: int, bins: int, party: str) -> dict[str, float]:
    """Mean of the cost, and its standard error."""
    costs = np.array([_one_cost(rows, bins, party, seed) for seed in range(_SEEDS)])
    return {"mean": float(costs.mean()), "standard_error": float(costs.std(ddof=1) / np.sqrt(len(costs)))}


def _one_cost(rows: int, bins: int, party: str, seed: int) -> float:
    rng, n = np.random.default_rng(seed), rows + _TESTED
    a, b, codes = rng.normal(size=n), rng.normal(size=n), rng.integers(0, _LEVELS, n)
    y = (rng.random(n) < 1 / (1 + np.exp(1.5 - 0.7 * a - 0.7 * b))).astype(float)
    noise = Column("noise", "category", codes=codes.astype(np.int32), categories=tuple(map(str, range(_LEVELS))))
    bank, partner = [Column("a", "number", numbers=a)], [Column("b", "number", numbers=b)]
    at_bank, at_partner = ([noise], []) if party == "bank" else ([], [noise])
    return _auc(y, bank, partner, bins) - _auc(y, [*bank, *at_bank], [*partner, *at_partner], bins)


def _auc(y: F64, bank: list[Column], partner: list[Column], bins: int) -> float:
    """AUC on the rows that were not trained on."""
    fitted = np.arange(len(y)) < len(y) - _TESTED
    params = BoostingParams(discovery="all", n_estimators=40, max_bin=bins)
    contract = OPEN.model_copy(update={"min_rows_per_bin": 20})
    with tempfile.TemporaryDirectory() as folder:
        positions = np.arange(len(y), dtype=np.int64)
        lab = Laboratory(y, bank, {"partner": partner}, {"partner": positions}, Path(folder), contract)
        margin = lab.train(params, 0, fitted).margin
    return metrics_of(y[~fitted], margin[~fitted])["auc"]
