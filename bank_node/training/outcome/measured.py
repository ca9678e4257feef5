"""What a run took: seconds by rung and phase, memory, versions. Two runs of one job differ in this alone."""

import os
import platform
import resource
import sys
from importlib.metadata import version

import numpy as np

from bank_node.families.catalogue import family_in
from bank_node.family.training import Training
from bank_node.record.facts import Measured

_LIBRARIES = ("fedwarn", "numpy", "numba", "duckdb", "grpcio", "cryptography", "rbcl", "msgspec")


def measured_of(training: Training) -> Measured:
    """By rung; the rungs of a second model are named with it. Memory in MiB."""
    first = training.job.model_names[0]
    named = {t.rung.name if t.model == first else f"{t.rung.name} / {t.model}": t for t in training.rungs}
    seconds = {name: {**t.seconds, "total": sum(t.seconds.values())} for name, t in named.items()}
    apart = ("align", "hint", "folds")
    per_tree = {
        name: sum(s for phase, s in t.seconds.items() if phase not in apart) / max(1, trees.kept)
        for name, t in named.items()
        if (trees := family_in(training, t.model).trees(t.fitted))
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * (1024 if sys.platform == "darwin" else 1))
    return Measured(
        versions={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        machine={"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count() or 1},
        seconds=seconds,
        seconds_per_tree=per_tree,
        peak_rss_mib={training.sessions.config.party: float(np.round(peak, 1))},
    )
