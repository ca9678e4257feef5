"""How much memory the largest process of a run takes, over the 4 GiB that it may take."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bank_node.record.facts import read_facts
from experiments.benchmarks.jobs import random_job
from experiments.run.launch import train_between_processes
from experiments.run.prepare import prepare, write_parties

LIMIT_MIB: Final = 4096


def benchmark_memory(rows: int = 100_000, partner_columns: int = 50, bins: int = 16, trees: int = 2) -> dict[str, Any]:
    """Align and train over processes on `rows` x (10 + partner_columns); the peak of every process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job, scenario = random_job(folder, rows, partner_columns, bins, trees)
        out = folder / "run"
        prepare(out, fresh=False)
        _, nodes = write_parties(job, scenario, out)
        began = time.perf_counter()
        peaks = train_between_processes(job, nodes, out, lambda phase, done, total: None)
        seconds = time.perf_counter() - began
        peaks = {**read_facts(out).measured.peak_rss_mib, **peaks}
    return {
        "ratio": max(peaks.values()) / LIMIT_MIB,
        "ours_s": seconds,
        "reference_s": None,
        "peak_mib": peaks,
        "threads": os.cpu_count(),
        "settings": {
            "rows": rows, "partner_columns": partner_columns, "bins": bins, "trees": trees,
            "reference": f"{LIMIT_MIB} MiB a process",
        },
    }  # fmt: skip
