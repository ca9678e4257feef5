"""How much memory thousands of columns take: the largest process over the 4 GiB that it may take, and the hint's time.

Every party brings its own Parquet file, so that nothing but the nodes reads it.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import duckdb

from bank_node.record.facts import read_facts
from experiments.benchmarks.jobs import written_job
from experiments.benchmarks.memory import LIMIT_MIB
from experiments.run.launch import train_between_processes
from experiments.run.prepare import prepare, write_parties

_ROWS_A_GROUP: Final = 10_240
_OWN: Final = 10


def benchmark_wide(
    rows: int = 20_000, partner_columns: int = 2000, partners: int = 2, bins: int = 16, trees: int = 2
) -> dict[str, Any]:
    """Align and train over processes on `rows` x (10 + partner_columns), which the partners share out equally."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = {"n_estimators": trees, "max_depth": 3, "max_bin": bins, "reg_lambda": 5.0}
        parties = {"bank": _party(folder, "bank", rows, _OWN, 0)}
        names = [f"partner{k + 1}" for k in range(partners)]
        for k, partner in enumerate(names):
            share = partner_columns * (k + 1) // partners - partner_columns * k // partners
            parties[partner] = _party(folder, partner, rows, share, k + 1)
        values = {
            "schema": 1,
            "name": "wide",
            "synthetic": True,
            "data": {"id": ["id"], "label": "y"},
            "parties": parties,
            "models": [{"kind": "boosting", "params": params}],
            "run": {"ladder": [["bank", *names]]},
        }
        job, scenario = written_job(folder, values)
        out = folder / "run"
        prepare(out, fresh=False)
        _, nodes = write_parties(job, scenario, out)
        began = time.perf_counter()
        peaks = train_between_processes(job, nodes, out, lambda phase, done, total: None)
        seconds = time.perf_counter() - began
        measured = read_facts(out).measured
        peaks = {**measured.peak_rss_mib, **peaks}
    return {
        "ratio": max(peaks.values()) / LIMIT_MIB,
        "ours_s": seconds,
        "reference_s": None,
        "hint_s": sum(phases.get("hint", 0.0) for phases in measured.seconds.values()),
        "peak_mib": peaks,
        "threads": os.cpu_count(),
        "settings": {
            "rows": rows, "partner_columns": partner_columns, "partners": partners, "bins": bins, "trees": trees,
            "reference": f"{LIMIT_MIB} MiB a process",
        },
    }  # fmt: skip


def _party(folder: Path, name: str, rows: int, columns: int, seed: int) -> dict[str, Any]:
    """A party's table of uniform columns; the label, of the bank, follows the first column."""
    names = [f"c{k}" for k in range(columns)]
    drawn = "hash((i * {0} + {1}) * 8 + {2}) % 1000003 / 1000.0"
    selected = [f"{drawn.format(columns, k, seed)} AS {column}" for k, column in enumerate(names)]
    if not seed:
        risk = f"{drawn.format(columns, 0, seed)} / 4 + {drawn.format(columns, columns, seed)}"
        selected.append(f"({risk} > 1000)::INTEGER AS y")
    path = folder / f"{name}.parquet"
    with duckdb.connect() as base:
        table = f"SELECT 'r' || i AS id, {', '.join(selected)} FROM range({rows}) r(i)"
        base.execute(f"COPY ({table}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {_ROWS_A_GROUP})")
    return {"columns": names, "source": {"kind": "parquet", "path": path.name}}
