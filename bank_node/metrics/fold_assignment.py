"""Folds: the training rows in k parts, each predicted by models fitted on the other parts; and so several times.

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
    """The fold of every row in each of r cuts, shape (r, n); 0 of those not trained on.

    Folds are numbered on through all cuts, 1 .. k of the first, k + 1 .. 2 k of the second. Classes are spread evenly
    over the folds of a cut.

    Raises: DataError: too few rows of a class for so many folds.
    """
    assert table.label is not None
    labels = table.label[train]
    fewest = np.unique(labels, return_counts=True)[1].min() if task == "binary" else len(labels)
    if fewest < 2 * split.folds:
        raise DataError(
            table.party, f"has too few rows for {split.folds} folds", "lower split.folds, or give more rows"
        )
    folds = np.zeros((split.repeats, table.rows), dtype=np.int64)
    for cut in range(split.repeats):
        again = (cut + 1,) if cut else ()  # the first cut is that of a job without repeats
        rows = np.flatnonzero(train)
        rows = rows[draw(split.seed, "folds", *again).permutation(len(rows))]
        if task != "regression":
            rows = rows[np.argsort(table.label[rows], kind="stable")]
        folds[cut, rows] = np.arange(len(rows)) % split.folds + 1 + cut * split.folds
    return folds
