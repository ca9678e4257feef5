"""Uplift against information share: what a bank gains at each information budget, with both ways of revealing splits.

The full rung of the main job, at three budgets. Engine `plaintext` stands in for `blind`: both grow the same model.
With `split_rows = "node"` also what a partner makes of the groups of rows that it is told (attacks/known_labels).
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bank_node.data.parts import assign_parts
from experiments.attacks.known_labels import Overheard, known_labels
from experiments.benchmarks.accuracy import metrics_of, positions_of
from experiments.benchmarks.tree import CSX, scenario_columns
from protocol.job import load_job

BUDGETS = (0.15, 0.35, 1.0)


def benchmark_sharing(trees: int = 100) -> dict[str, Any]:
    """Test AUC, each partner's information share and ranking, by split_rows and budget; the bank besides."""
    job = load_job(CSX)
    table, columns = scenario_columns(job)
    assert table.label is not None
    fitted = assign_parts(job.split, table) == "train"
    positions = {p: positions_of(job, p, table.rows) for p in job.partners}
    params = job.boosting_models[0].params.model_copy(update={"n_estimators": trees})
    began, rows, aucs = time.perf_counter(), [], []
    settings = [("all", budget) for budget in BUDGETS] + [("node", budget) for budget in BUDGETS]
    for split_rows, budget in [("none", 0.0), *settings]:
        names = job.partners if budget else ()
        contract = job.contract.model_copy(update={"max_information_share": budget, "max_equations_share": 1.0})
        with tempfile.TemporaryDirectory() as folder:
            lab = Overheard(
                table.label, columns[job.bank], {p: columns[p] for p in names}, positions, Path(folder), contract,
                split_rows=split_rows,
            )  # fmt: skip
            margin = lab.train(params, job.run.seed, fitted).margin
        shares = {p: round(lab.answerers[p].information_share, 3) for p in names}
        aucs.append(metrics_of(table.label[~fitted], margin[~fitted])["auc"])
        ranked = {p: asdict(known_labels(lab, p)) for p in lab.groups}
        rows.append(
            {"split_rows": split_rows, "budget": budget, "auc": round(aucs[-1], 4), "information_share": shares}
            | {"partner_auc": ranked}
        )
    alone, _, at_default, unlimited, *_ = aucs
    return {
        "ratio": (at_default - alone) / (unlimited - alone),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "rows": rows,
        "settings": {"trees": trees, "ratio": "uplift at the default budget over uplift without one"},
    }
