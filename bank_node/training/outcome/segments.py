"""Segments: which group each row is in, by the value of a column, for figures that are given apart.

A category is a group; beyond the ten most frequent they are one. A number with few values is in the group of its value,
any other in one of four of about equal size. Groups are drawn up on the rows trained on, and `missing` is one, too.
"""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.messages import F64
from protocol.table import Column

MISSING: Final = "missing"
OTHER: Final = "other values"
MOST_CATEGORIES: Final = 10
FEW_NUMBERS: Final = 6
_QUARTERS: Final = (0.25, 0.5, 0.75)

Groups = npt.NDArray[np.object_]


def groups_of(column: Column, fitted: npt.NDArray[np.bool_]) -> Groups:
    """The group of each row by name, shape (n,). fitted: rows trained on, shape (n,)."""
    return _of_categories(column, fitted) if column.kind == "category" else _of_numbers(column.numbers, fitted)


def _of_categories(column: Column, fitted: npt.NDArray[np.bool_]) -> Groups:
    counts = np.bincount(column.codes[fitted & (column.codes >= 0)], minlength=len(column.categories))
    names = np.array([*column.categories, MISSING], dtype=object)  # code -1 is the last
    names[np.argsort(-counts, kind="stable")[MOST_CATEGORIES:]] = OTHER
    found: Groups = names[column.codes]
    return found


def _of_numbers(numbers: F64, fitted: npt.NDArray[np.bool_]) -> Groups:
    there = numbers[fitted & ~np.isnan(numbers)]
    values = np.unique(there)
    cuts = values[1:] if len(values) <= FEW_NUMBERS else np.unique(np.quantile(there, _QUARTERS, method="lower"))
    names = _names(values if len(values) <= FEW_NUMBERS else None, cuts)
    found: Groups = np.array(names, dtype=object)[np.searchsorted(cuts, numbers, side="right")]
    found[np.isnan(numbers)] = MISSING
    return found


def _names(values: F64 | None, cuts: F64) -> list[str]:
    """Of the groups below the first cut, between cuts, and from the last on."""
    if values is not None:
        return [f"{value:g}" for value in values.tolist()] or [MISSING]
    told = [f"{cut:g}" for cut in cuts.tolist()]
    between = [f"{low} ≤ x < {high}" for low, high in pairwise(told)]
    return [f"x < {told[0]}", *between, f"x ≥ {told[-1]}"]
