"""What learned columns add to aggregates by hand, over seeds, and that they add nothing where there is nothing.

Each seed draws another table and other events, encodes them, and trains the bank alone, with the aggregates, with the
learned columns besides, and with the same columns shuffled over the customers (the placebo). Engine `plaintext` stands
in for `blind`: both grow the same model to the last bit. A difference of AUC is given with its mean and Student's 95%
interval over the seeds; where nothing is to be found, a seed counts as found if DeLong's interval of all columns over
the bank alone lies above 0.
"""

import math
import os
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import tomli_w

from bank_node.data.parts import assign_parts
from bank_node.metrics.delong import delong
from experiments.benchmarks.tables import DealtOut, dealt_out
from experiments.data.own import SCENARIOS
from experiments.laboratory import Laboratory
from experiments.run.scenario import load_scenario
from protocol.algorithms.parameters import BoostingParams
from protocol.contract import Contract
from protocol.draws import draw
from protocol.messages import F64
from protocol.table import Column

TABLES: Final = ("telecom-events", "tax-invoices", "guarantee-chain")
REAL: Final = ("taiwan-events",)
"""One table, which each seed splits anew."""
_STUDENT: Final = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Quantiles at 97.5% by degrees of freedom."""
_Z: Final = 1.96


@dataclass(frozen=True)
class _Scores:
    """Labels and margins of the rows tested, by set of columns."""

    label: F64
    margins: dict[str, F64]

    @property
    def auc(self) -> dict[str, float]:
        values, _ = delong(self.label.astype(np.uint8), list(self.margins.values()))
        return dict(zip(self.margins, values.tolist(), strict=True))

    def found(self, one: str, other: str) -> bool:
        """Whether DeLong's interval of the difference lies above 0."""
        (a, b), covariance = delong(self.label.astype(np.uint8), [self.margins[one], self.margins[other]])
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return bool(a - b > _Z * math.sqrt(max(variance, 0.0)))


def benchmark_encoders(
    rows: int = 20_000,
    seeds: int = 5,
    trees: int = 100,
    quiet_rows: int = 3_000,
    quiet_seeds: int = 20,
    names: tuple[str, ...] = (*TABLES, *REAL),
) -> dict[str, Any]:
    """AUC by set of columns and table. quiet_rows, quiet_seeds: of the tables without signal; 0 seeds leave them out.

    ratio: seeds in which something was found where there is nothing, over the 2 in 20 that are let pass.
    """
    began, results, found = time.perf_counter(), {}, {}
    # Not forked: a copy of a process in which torch has begun its threads may wait for them forever.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for name in names:
            if name in REAL:
                load_scenario(SCENARIOS / f"{name}.toml")  # encoded once, before the processes need it
            loud = processes.map(partial(_scores, name, rows, trees, 1.0), range(1, seeds + 1))
            results[name] = _uplifts(list(loud))
        for name in (n for n in names if n not in REAL):
            quiet = processes.map(partial(_scores, name, quiet_rows, trees, 0.0), range(1, quiet_seeds + 1))
            found[name] = sum(scores.found("learned", "bank") for scores in quiet)
    return {
        "ratio": max(found.values(), default=0) / max(1.0, quiet_seeds / 10),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "tables": results,
        "found_without_signal": found,
        "settings": {
            "rows": rows, "seeds": seeds, "trees": trees, "quiet_rows": quiet_rows, "quiet_seeds": quiet_seeds,
            "reference": "aggregates by hand",
        },
    }  # fmt: skip


def _uplifts(scores: list[_Scores]) -> dict[str, Any]:
    """Mean AUC by set, and the differences that are asked for."""
    aucs = {name: np.array([one.auc[name] for one in scores]) for name in scores[0].margins}
    return {
        "auc": {name: float(values.mean()) for name, values in aucs.items()},
        "aggregates over bank": _interval(aucs["aggregates"] - aucs["bank"]),
        "learned over aggregates": _interval(aucs["learned"] - aucs["aggregates"]),
        "learned alone over bank": _interval(aucs["learned alone"] - aucs["bank"]),
        "placebo over bank": _interval(aucs["placebo"] - aucs["bank"]),
    }


def _interval(differences: F64) -> dict[str, Any]:
    """The mean over the seeds, and Student's interval."""
    n, mean = len(differences), float(differences.mean())
    reach = _STUDENT.get(n - 1, _Z) * float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return {"value": mean, "low": mean - reach, "high": mean + reach, "level": 0.95, "seeds": differences.tolist()}


def _scores(name: str, rows: int, trees: int, strength: float, seed: int) -> _Scores:
    """Every set of columns, trained on one drawn table."""
    dealt = _dealt(name, rows, seed, strength)
    job, label = dealt.job, dealt.table.label
    assert label is not None
    fitted = assign_parts(job.split.model_copy(update={"seed": seed}), dealt.table) == "train"
    asked = cast(BoostingParams, job.models[0].params)
    params = asked.model_copy(update={"n_estimators": trees})
    hand, learned = job.partners
    both = {p: dealt.columns[p] for p in (hand, learned)}
    mixed = draw(seed, "placebo").permutation(len(label))
    sets: dict[str, dict[str, list[Column]]] = {
        "bank": {},
        "aggregates": {hand: both[hand]},
        "learned": both,
        "learned alone": {learned: both[learned]},
        "placebo": {p: [_shuffled(c, mixed) for c in columns] for p, columns in both.items()},
    }
    margins = {}
    for number, (kind, partners) in enumerate(sets.items()):
        with tempfile.TemporaryDirectory() as folder:
            lab = Laboratory(label, dealt.columns[job.bank], partners, dealt.positions, Path(folder), _contract(rows))
            margins[kind] = lab.train(params, seed, fitted, number).margin[~fitted]
    return _Scores(label[~fitted], margins)


def _dealt(name: str, rows: int, seed: int, strength: float) -> DealtOut:
    """A scenario's table under another seed, its events encoded; a real one as it is."""
    if name in REAL:
        return dealt_out(load_scenario(SCENARIOS / f"{name}.toml"), rows)
    values = tomllib.loads((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8"))
    values["data"]["source"] |= {"rows": rows, "seed": seed, "strength": strength}
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / f"{name}.toml"
        scenario.write_text(tomli_w.dumps(values), encoding="utf-8")
        return dealt_out(load_scenario(scenario), rows)


def _shuffled(column: Column, order: np.typing.NDArray[np.int64]) -> Column:
    return replace(column, numbers=column.numbers[order])


def _contract(rows: int) -> Contract:
    """The default, but for the equation budget: every seed is a table of its own."""
    return Contract(max_equations_share=float(rows))
