"""Columns that are no features: label, weight, amount and the date of a record. What is wrong is told by column."""

from collections.abc import Callable
from typing import Final

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.dates import Moments, require_not_after
from protocol.table.loaded import Loaded
from protocol.table.scan import as_text

_MOST: Final = 1e15
"""The largest label, amount or weight, and one over the smallest weight: sums of their products stay numbers."""
_OTHER_UNIT: Final = "correct it, or count in another unit"
_CODE_OR_DROP: Final = {
    "binary": "code a bad as 1 and a good as 0, and drop rows without a label",
    "regression": "write numbers, and drop rows without one",
    "multiclass": "number the classes 0, 1, 2, .., and drop rows without one",
}
_YES_OR_NO: Final = ("true", "t", "yes", "y"), ("false", "f", "no", "n")


def label_of(loaded: Loaded, order: I64) -> F64:
    """The label, shape (n,), as the task has it. Raises: DataError: missing, of a wrong value, or all alike."""
    name, task = loaded.spec.label, loaded.spec.task
    label = _numbers(loaded, name, order, _label_in_sql)
    finite = np.isfinite(label)
    if not finite.all():
        raise loaded.wrong(name, f"is missing or not a number in {int((~finite).sum())} rows", _CODE_OR_DROP[task])
    if task == "binary" and not np.isin(label, (0.0, 1.0)).all():
        raise loaded.wrong(name, "has values other than 0 and 1", "code a bad as 1 and a good as 0")
    if task == "multiclass" and not ((label >= 0) & (label == np.floor(label))).all():
        raise loaded.wrong(name, "has values that are no classes", "number the classes 0, 1, 2, ..")
    if label.min() == label.max():
        raise _constant(loaded, label)
    if np.abs(label).max() > _MOST:
        raise loaded.wrong(name, f"is beyond {_MOST:g} in {int((np.abs(label) > _MOST).sum())} rows", _OTHER_UNIT)
    if np.ptp(label) < 1 / _MOST:
        raise loaded.wrong(name, f"differs by less than {1 / _MOST:g} from row to row", _OTHER_UNIT)
    return label


def amount_of(loaded: Loaded, name: str, order: I64) -> F64:
    """Amounts, shape (n,), 0 to 1e15. Raises: DataError: one is missing, negative or larger."""
    values = _numbers(loaded, name, order)
    wrong = int((~np.isfinite(values) | (values < 0)).sum())
    if wrong:
        raise loaded.wrong(name, f"is missing, no number or negative in {wrong} rows", "correct or drop them")
    large = int((values > _MOST).sum())
    if large:
        raise loaded.wrong(name, f"is above {_MOST:g} in {large} rows", _OTHER_UNIT)
    return values


def numbers_of(loaded: Loaded, name: str, order: I64) -> F64:
    """Numbers that may be missing, shape (n,), nan there. Raises: DataError: the column holds none."""
    try:
        return loaded.some_numbers(name, order)
    except duckdb.Error:
        raise loaded.wrong(name, "is not a number", "write it as one") from None


def weight_of(loaded: Loaded, order: I64) -> F64:
    """Weights, shape (n,), 0 and more, and not all 0. Raises: DataError."""
    values = amount_of(loaded, loaded.spec.weight, order)
    if not values.any():
        raise loaded.wrong(loaded.spec.weight, "is 0 in every row", "give rows that count")
    small = int(((values > 0) & (values < 1 / _MOST)).sum())
    if small:
        raise loaded.wrong(loaded.spec.weight, f"is under {1 / _MOST:g} in {small} rows", "scale it to about 1")
    return values


def as_of(loaded: Loaded) -> Moments:
    """The date of every record, in the order of the file. Raises: DataError: one is missing, or after the snapshot."""
    moments = loaded.moments(loaded.spec.as_of)
    require_not_after(moments, loaded.scan.snapshot, loaded.party, loaded.name)
    return moments


def _number_in_sql(_: Loaded, name: str) -> str:
    return f"TRY_CAST({as_text(name)} AS DOUBLE)"


def _numbers(loaded: Loaded, name: str, order: I64, of_text: Callable[[Loaded, str], str] = _number_in_sql) -> F64:
    """A column's numbers; nan where a value is none. of_text: gives in SQL what a column of text stands for."""
    try:
        return loaded.numbers(name, order)
    except duckdb.Error:
        there: F64 = np.asarray(loaded.values(of_text(loaded, name)), dtype=np.float64)[order]
        return there


def _label_in_sql(loaded: Loaded, name: str) -> str:
    """Text of a label: yes and no where all are one of these, as CSV files are read, else numbers."""
    yes, no = (", ".join(f"'{word}'" for word in words) for words in _YES_OR_NO)
    text = f"lower(trim({as_text(name)}))"
    ((words,),) = loaded.base.sql(f"SELECT count(*) FILTER ({text} NOT IN ({yes}, {no})) FROM t").fetchall()
    spelt = f"CASE WHEN {text} IN ({yes}) THEN 1.0 WHEN {text} IN ({no}) THEN 0.0 END"
    return f"TRY_CAST({text} AS DOUBLE)" if words else f"CAST({spelt} AS DOUBLE)"


def _constant(loaded: Loaded, label: F64) -> DataError:
    if loaded.spec.task == "binary":
        return loaded.wrong(loaded.spec.label, f"is {label[0]:.0f} in every row", "give rows of both classes")
    return loaded.wrong(loaded.spec.label, "is the same in every row", "give rows that differ")
