"""Columns that are no features: label, weight, amount and the date of a record. What is wrong is told by column."""

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.dates import Moments, require_not_after
from protocol.table.loaded import Loaded


def label_of(loaded: Loaded, order: I64) -> F64:
    """The label, shape (n,), as the task has it. Raises: DataError: missing, of a wrong value, or all alike."""
    name, task, label = loaded.spec.label, loaded.spec.task, _numbers(loaded, loaded.spec.label, order)
    finite = np.isfinite(label)
    if not finite.all():
        raise loaded.wrong(name, f"is missing or not a number in {int((~finite).sum())} rows", "drop them")
    if task == "binary" and not np.isin(label, (0.0, 1.0)).all():
        raise loaded.wrong(name, "has values other than 0 and 1", "code a bad as 1 and a good as 0")
    if task == "multiclass" and not ((label >= 0) & (label == np.floor(label))).all():
        raise loaded.wrong(name, "has values that are no classes", "number the classes 0, 1, 2, ..")
    if label.min() == label.max():
        raise _constant(loaded, label)
    return label


def amount_of(loaded: Loaded, name: str, order: I64) -> F64:
    """Amounts, shape (n,), 0 and more. Raises: DataError: one is missing or negative."""
    values = _numbers(loaded, name, order)
    wrong = int((~np.isfinite(values) | (values < 0)).sum())
    if wrong:
        raise loaded.wrong(name, f"is missing or negative in {wrong} rows", "correct or drop them")
    return values


def weight_of(loaded: Loaded, order: I64) -> F64:
    """Weights, shape (n,), 0 and more, and not all 0. Raises: DataError."""
    values = amount_of(loaded, loaded.spec.weight, order)
    if not values.any():
        raise loaded.wrong(loaded.spec.weight, "is 0 in every row", "give rows that count")
    return values


def as_of(loaded: Loaded) -> Moments:
    """The date of every record, in the order of the file. Raises: DataError: one is missing, or after the snapshot."""
    moments = loaded.moments(loaded.spec.as_of)
    require_not_after(moments, loaded.scan.snapshot, loaded.party, loaded.name)
    return moments


def _numbers(loaded: Loaded, name: str, order: I64) -> F64:
    """A column's numbers; nan in every row where some are none."""
    try:
        return loaded.numbers(name, order)
    except duckdb.Error:
        return np.full(len(order), np.nan)


def _constant(loaded: Loaded, label: F64) -> DataError:
    if loaded.spec.task == "binary":
        return loaded.wrong(loaded.spec.label, f"is {label[0]:.0f} in every row", "give rows of both classes")
    return loaded.wrong(loaded.spec.label, "is the same in every row", "give rows that differ")
