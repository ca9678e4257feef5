"""Folds: the training rows in k parts, each predicted by models that were fitted on the other parts.

All folds use the alignment and the hints of the main training, and its partners' bins; what a partner revealed in one
is free in the next.
"""

import numpy as np

from protocol.algorithms.parameters import Task
from protocol.draws import draw
from protocol.errors import DataError
from protocol.job import Split
from protocol.messages import I64
from protocol.table import Table


def assign_folds(split: Split, table: Table, train: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], task: Task) -> I64:
    """The fold of every row, 1 .. k; 0 of those not trained on; shape (n,). Classes are spread evenly over the folds.

    Raises: DataError: too few rows of a class for so many folds.
    """
    assert table.label is not None
    folds = np.zeros(table.rows, dtype=np.int64)
    rows = np.flatnonzero(train)
    rows = rows[draw(split.seed, "folds").permutation(len(rows))]
    if task != "regression":
        rows = rows[np.argsort(table.label[rows], kind="stable")]
    fewest = np.unique(table.label[rows], return_counts=True)[1].min() if task == "binary" else len(rows)
    if fewest < 2 * split.folds:
        raise DataError(
            table.party, f"has too few rows for {split.folds} folds", "lower split.folds, or give more rows"
        )
    folds[rows] = np.arange(len(rows)) % split.folds + 1
    return folds
