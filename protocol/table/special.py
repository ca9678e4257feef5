"""Columns that are no features: id, label, weight, amount and the date of a record. What is wrong is told by column."""

import re
from collections.abc import Callable
from typing import Final

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.dates import Moments, require_not_after
from protocol.table.ids import exponents, made_alike, places, rounded
from protocol.table.loaded import Loaded
from protocol.table.notes import Note
from protocol.table.scan import as_text, sentinel_texts
from protocol.table.texts import tidy

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
    in_words = bool(loaded.spec.label_bad or loaded.spec.label_good)
    label = _label_in_words(loaded, order) if in_words else _numbers(loaded, name, order, _label_in_sql)
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
    if loaded.read(name).read.kind != "number":
        raise loaded.wrong(name, "is not a number", "write it as one")
    return loaded.some_numbers(name, order)


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
    moments = loaded.as_of
    require_not_after(moments, loaded.scan.snapshot, loaded.party, loaded.name)
    return moments


def notes_on_ids(loaded: Loaded) -> list[Note]:
    """What looks wrong with ids, and what was done to them."""
    notes = []
    for name in loaded.spec.id:
        column = loaded.ids(name)
        found, long = exponents(column), rounded(column)
        if found:
            share = f"{len(found) / len(column):.0%}"
            about = {"others": f"{len(column):,}", "share": share, "places": places(found)}
            notes.append(Note(name, "id_exponent", len(found), about))
        notes += [Note(name, "id_rounded", long)] if long else []
        folded, padded = made_alike(column, loaded.spec.id_rule)
        notes += [Note(name, "id_folded", folded)] if folded else []
        notes += [Note(name, "id_padded", padded)] if padded else []
    return notes


def notes_on_label(loaded: Loaded, label: F64 | None) -> list[Note]:
    """How many rows are bad and good, where the label is in words."""
    if label is None or not loaded.spec.label_bad:
        return []
    bad = int(label.sum())
    return [Note(loaded.spec.label, "label", bad, {"others": f"{len(label) - bad:,}"})]


def _number_in_sql(_: Loaded, name: str) -> str:
    return f"TRY_CAST({as_text(name)} AS DOUBLE)"


def _numbers(loaded: Loaded, name: str, order: I64, of_text: Callable[[Loaded, str], str] = _number_in_sql) -> F64:
    """A column's numbers; nan where a value is none. of_text: gives in SQL what a column of text stands for."""
    try:
        return loaded.numbers(name, order)
    except duckdb.Error:
        in_sql: F64 = np.asarray(loaded.values(of_text(loaded, name)), dtype=np.float64)[order]
    if np.isnan(in_sql).any() and loaded.read(name).read.kind == "number":
        return loaded.some_numbers(name, order)
    return in_sql


def _label_in_words(loaded: Loaded, order: I64) -> F64:
    """1 and 0, by the values that are bad and good; the case of letters, width and blanks around do not count."""
    name, spec = loaded.spec.label, loaded.spec
    value_of = {_word(text): 0.0 for text in sentinel_texts(spec.label_good)}
    bad = {_word(text): 1.0 for text in sentinel_texts(spec.label_bad)}
    if value_of.keys() & bad.keys():
        raise loaded.wrong(name, "has a value in label_bad and in label_good", "take it out of one")
    value_of |= bad
    texts = loaded.values(as_text(name)).tolist()
    label = np.array([np.nan if t is None else value_of.get(_word(t), np.nan) for t in texts], dtype=np.float64)
    unknown = int(np.isnan(label).sum())
    if unknown:
        thing = f"has no value of label_bad or label_good in {unknown:,} of {len(label):,} rows"
        raise loaded.wrong(name, thing, "list every value in one of the two, and drop rows without a label")
    return label[order]


def _word(text: str) -> str:
    """A value of a label as it is compared: "2.0", as a column of floats has it, is 2."""
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", tidy(text).casefold())


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
