"""Compiling numba's kernels once, into their cache on disk: a training too small to notice, of every kind of query."""

import tempfile
from pathlib import Path

import numpy as np

from experiments.laboratory import Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.table import Column

_ROWS = 200


def warm_kernels() -> None:
    """Train on both engines over a few rows, so that every kernel is compiled and loaded."""
    values = np.random.default_rng(0).standard_normal((3, _ROWS))
    bank, partner, other = (Column(f"x{k}", "number", numbers=column) for k, column in enumerate(values))
    y = (values.sum(axis=0) > 0).astype(np.float64)
    for engine in ("plaintext", "blind"):
        with tempfile.TemporaryDirectory() as folder:
            positions = {"warm": np.arange(_ROWS)}
            laboratory = Laboratory(y, [bank], {"warm": [partner, other]}, positions, Path(folder), engine=engine)
            laboratory.train(BoostingParams(n_estimators=1, max_depth=5, min_child_weight=0.0))
