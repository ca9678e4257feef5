"""What mTLS between processes costs, over the same training in one process. Alignment and hints are left out."""

import os
import tempfile
from pathlib import Path
from typing import Any

from bank_node.record.facts import read_facts
from experiments.benchmarks.jobs import csx_job
from experiments.run.launch import train_between_processes, train_in_process
from experiments.run.prepare import prepare, write_parties

_APART = ("total", "align", "hint")
_RUNG = "all"


def benchmark_wire(rows: int = 20_000, trees: int = 50) -> dict[str, Any]:
    """Train the main job's full rung on its first rows, over both transports."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job, scenario = csx_job(folder, rows, trees)
        seconds = {}
        for train in (train_in_process, train_between_processes):
            out = folder / train.__name__
            prepare(out, fresh=False)
            _, nodes = write_parties(job, scenario, out)
            train(job, nodes, out, lambda phase, done, total: None)
            phases = read_facts(out).measured.seconds[_RUNG]
            seconds[train] = sum(s for phase, s in phases.items() if phase not in _APART)
    return {
        "ratio": seconds[train_between_processes] / seconds[train_in_process],
        "ours_s": seconds[train_between_processes],
        "reference_s": seconds[train_in_process],
        "threads": os.cpu_count(),
        "settings": {"rows": rows, "trees": trees, "partners": list(job.partners), "reference": "in one process"},
    }
