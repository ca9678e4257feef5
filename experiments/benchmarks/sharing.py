"""Uplift against information share: what a bank gains at each information budget, by which trees are encrypted.

The full rung of the main job: by discovery and a fit of its trees at the bank alone; and with 100 trees of rate 0.2
that are all encrypted, with both ways of revealing splits. Engine `plaintext` stands in for `blind`: both grow the
same model.
With `split_rows = "node"` also what a partner makes of the groups of rows that it is told (attacks/known_labels).
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bank_node.data.parts import assign_parts
from experiments.attacks.known_labels import Overheard, known_labels
from experiments.benchmarks.accuracy import metrics_of, positions_of
from experiments.benchmarks.tree import CSX, scenario_columns
from protocol.job import load_job
from protocol.job.boosting import boosting_models

DEFAULT: Final = 0.2
WAYS: Final = (
    ("auto", "all", (0.1, DEFAULT, 0.35)),
    ("all", "all", (0.1, DEFAULT, 0.35, 1.0)),
    ("all", "node", (0.1, DEFAULT, 0.35, 1.0)),
)
"""discovery, split_rows, and the budgets of each."""


def benchmark_sharing(trees: int = 100) -> dict[str, Any]:
    """Test AUC, queries, each partner's information share and ranking, by way and budget; the bank besides.

    trees: where every tree is encrypted.
    """
    job = load_job(CSX)
    table, columns = scenario_columns(job)
    assert table.label is not None
    fitted = assign_parts(job.split, table) == "train"
    positions = {p: positions_of(job, p, table.rows) for p in job.partners}
    usual = boosting_models(job)[0].params
    every = usual.model_copy(update={"n_estimators": trees, "learning_rate": 0.2, "discovery": "all"})
    began, rows = time.perf_counter(), []
    found: dict[tuple[str, str, float], float] = {}
    settings = [(way, split_rows, budget) for way, split_rows, budgets in WAYS for budget in budgets]
    for way, split_rows, budget in [("none", "none", 0.0), *settings]:
        params = every if way == "all" else usual
        names = job.partners if budget else ()
        contract = job.contract.model_copy(update={"max_information_share": budget, "max_equations_share": 1.0})
        with tempfile.TemporaryDirectory() as folder:
            lab = Overheard(
                table.label, columns[job.bank], {p: columns[p] for p in names}, positions, Path(folder), contract,
                split_rows=split_rows,
            )  # fmt: skip
            trained = lab.train(params, job.run.seed, fitted)
        found[way, split_rows, budget] = metrics_of(table.label[~fitted], trained.margin[~fitted])["auc"]
        rows.append(
            {
                "discovery": way,
                "split_rows": split_rows,
                "budget": budget,
                "auc": round(found[way, split_rows, budget], 4),
                "queries": trained.queries,
                "information_share": {p: round(lab.answerers[p].information_share, 3) for p in names},
                "partner_auc": {p: asdict(known_labels(lab, p)) for p in lab.groups},
            }
        )
    alone, unlimited = found["none", "none", 0.0], found["all", "all", 1.0]
    at_default = found["auto", "all", DEFAULT]
    return {
        "ratio": (at_default - alone) / (unlimited - alone),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "rows": rows,
        "settings": {
            "trees": trees,
            "ratio": "uplift of discovery at the default budget over uplift of all trees without one",
        },
    }
