"""Preparing: a column of a linear model becomes whole numbers as its `Treatment` says, and later by the very same ones.

Numbers are clipped, transformed, imputed, scaled, rounded to thousandths and cut at 4.095, in this order. What that
takes is fitted once, on the values that are there: at the bank of the rows trained on; at a partner of its whole table,
since it does not know which of its rows are trained on. It is kept with the model, and scoring fits nothing.

Source: the steps are those of scikit-learn's StandardScaler, RobustScaler, MinMaxScaler, SimpleImputer and
OneHotEncoder; a column without spread is divided by 1, as there.
"""

from typing import Final

import msgspec
import numpy as np

from protocol.algorithms.binning import CategoryRule, Rule, apply_rule
from protocol.algorithms.glm import LARGEST_VALUE, VALUE, of_bins, standardised
from protocol.errors import DataError
from protocol.he.base import I32
from protocol.messages import F64, I64
from protocol.settings.preparation import MOST_FREQUENT, REST, Preparation, Transform, Treatment
from protocol.table import Column

_OF_NUMBERS: Final = {"constant", "clip", "limits", "transform", "scale"}
_OF_CATEGORIES: Final = {"levels", "min_share", "reference"}
_FITS: Final = (LARGEST_VALUE + 0.5) / VALUE


class Prepared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a numeric column was found to need.

    low, high: where it is clipped, in its own units; None: not. filler: what stands for a missing value; centre,
    spread: by which it is scaled; all three of transformed values. constant: after clipping all values are one.
    """

    transform: Transform
    low: float | None
    high: float | None
    filler: float
    centre: float
    spread: float
    constant: bool = False


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns the values of a column into whole numbers, kept with a model by the party that has the column.

    rule, values: its bins, and what stands for each in thousandths. Without values its numbers stand for themselves:
    less mean, over deviation, or prepared where more is declared.
    """

    column: str
    rule: Rule
    values: tuple[int, ...]
    mean: float
    deviation: float
    prepared: Prepared | msgspec.UnsetType = msgspec.UNSET

    def encode(self, column: Column) -> I32:
        """Whole numbers of the column, which may come from another table, shape (n,)."""
        if self.values:
            return of_bins(apply_rule(self.rule, column), self.values)
        if self.prepared is not msgspec.UNSET:
            return encoded(self.prepared, column.numbers)
        return standardised(column.numbers, self.mean, self.deviation)


def fit_prepared(numbers: F64, treatment: Treatment, party: str, column: str) -> Prepared:
    """What a treatment needs, found on the values that are there.

    numbers: shape (n,), nan = missing. column: what an error may call it.
    Raises: DataError: values without a logarithm, without a scale of their own but too large, or too large for any.
    """
    there = numbers[~np.isnan(numbers)]
    there = there if len(there) else np.zeros(1)
    with np.errstate(over="ignore", invalid="ignore"):
        return _fitted(there, treatment, party, column)


def _fitted(there: F64, treatment: Treatment, party: str, column: str) -> Prepared:
    low, high = _limits(there, treatment, party, column)
    clipped, constants = _clipped(there, low, high), _clipped(np.array([treatment.constant]), low, high)
    if treatment.transform == "log1p":
        _require_logarithm(clipped, party, f"{column} has values")
        if treatment.impute == "constant":
            _require_logarithm(constants, party, f"the constant that stands for missing values of {column} has a value")
        low = float(clipped.min())
    values = transformed(clipped, treatment.transform)
    constant = bool(values.min() == values.max())
    centre, spread = _scale(values[:1] if constant else values, treatment)
    filler = _filler(values, treatment, constants)
    found = Prepared(treatment.transform, low, high, filler, centre, spread, constant)
    _require_fit(found, values, treatment, party, column)
    return found


def scaled(prepared: Prepared, numbers: F64) -> F64:
    """A column, which may come from another table, before it is rounded: shape (n,)."""
    values = transformed(_clipped(numbers, prepared.low, prepared.high), prepared.transform)
    filled = np.where(np.isnan(values), prepared.filler, values)
    return np.asarray((filled - prepared.centre) / prepared.spread)


def encoded(prepared: Prepared, numbers: F64) -> I32:
    """Its whole numbers: thousandths, cut at LARGEST_VALUE, shape (n,)."""
    return np.rint(np.clip(scaled(prepared, numbers) * VALUE, -LARGEST_VALUE, LARGEST_VALUE)).astype(np.int32)


def transformed(values: F64, transform: Transform) -> F64:
    """Logarithms, where asked for; a missing value stays missing."""
    match transform:
        case "log1p":
            return np.asarray(np.log1p(values))
        case "signed-log":
            return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
    return values


def level_of_bins(rule: CategoryRule, counts: I64, treatment: Treatment) -> tuple[int, ...]:
    """The level of each bin, `missing` last where there is one: 0 is the reference, which has no column.

    counts: rows in each bin, shape (bins,). A bin of several categories that are no grades, one beyond `levels` or of
    less than `min_share` belongs to the rest, which is the last level of those that are there. Missing values are a
    level of their own, but for impute "most-frequent" without an indicator.
    """
    present = max(1, int(counts[: rule.ordinary].sum()))
    most = treatment.levels or rule.ordinary
    own = [
        b < most and (len(group) == 1 or rule.ordered) and counts[b] >= treatment.min_share * present
        for b, group in enumerate(rule.groups)
    ]
    levels = np.cumsum(own) - 1
    levels[~np.array(own)] = sum(own)
    if rule.missing:
        joins = treatment.impute == "most-frequent" and not treatment.indicator
        levels = np.append(levels, levels[0] if joins else levels.max() + 1)
    frequent = int(np.argmax(counts[: rule.ordinary])) if rule.ordered else 0
    reference = _reference(rule, levels, own, treatment, frequent)
    order = [reference, *(level for level in range(int(levels.max()) + 1) if level != reference)]
    return tuple(order.index(int(level)) for level in levels)


def require_kind(party: str, column: Column, own: Preparation) -> None:
    """Raises: DataError: what is declared for a column is of categories, and it has numbers, or the other way."""
    wrong = sorted(own.model_dump().keys() & (_OF_NUMBERS if column.kind == "category" else _OF_CATEGORIES))
    if wrong:
        raise DataError(
            party, f"column {column.name!r} holds {'categories' if column.kind == 'category' else 'numbers'}, and its "
            f"preparation names {wrong[0]}", "correct prepare",
        )  # fmt: skip
    reference = own.reference
    if reference not in (None, MOST_FREQUENT, REST) and reference not in column.categories:
        raise DataError(
            party, f"column {column.name!r} has not the category that its preparation names as reference",
            "correct prepare",
        )  # fmt: skip


def columns_of_levels(levels: tuple[int, ...]) -> list[tuple[int, ...]]:
    """What stands for each bin in the column of every level but the reference, in thousandths."""
    return [tuple(VALUE * (at == level) for at in levels) for level in range(1, max(levels, default=0) + 1)]


def _reference(rule: CategoryRule, levels: I64, own: list[bool], treatment: Treatment, frequent: int) -> int:
    if treatment.reference == MOST_FREQUENT:
        return int(levels[frequent])
    if treatment.reference == REST:
        return 0 if all(own) else sum(own)
    named = (int(levels[b]) for b, group in enumerate(rule.groups) if treatment.reference in group)
    return next(named, int(levels[frequent]))


def _clipped(numbers: F64, low: float | None, high: float | None) -> F64:
    return np.clip(numbers, -np.inf if low is None else low, np.inf if high is None else high)


def _limits(there: F64, treatment: Treatment, party: str, column: str) -> tuple[float | None, float | None]:
    low, high = treatment.limits
    match treatment.clip:
        case "none":
            return None, None
        case "bounds":
            return low, high
        case "quantiles":
            found = np.quantile(there, [low, high])
            return float(found[0]), float(found[1])
    mean, deviation = float(there.mean()), float(there.std())
    if not np.isfinite([mean, deviation]).all():
        raise DataError(party, f"{column} has values too large to have a spread", 'clip it by "bounds"')
    return mean + low * deviation, mean + high * deviation


def _scale(values: F64, treatment: Treatment) -> tuple[float, float]:
    """Centre and spread. Quartiles that are one value tell no spread: a standard deviation stands in."""
    match treatment.scale:
        case "none":
            return 0.0, 1.0
        case "min-max":
            low = float(values.min())
            return low, float(values.max()) - low or 1.0
        case "robust":
            first, middle, third = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
            return middle, third - first or float(values.std()) or 1.0
    return float(values.mean()), float(values.std()) or 1.0


def _filler(values: F64, treatment: Treatment, constants: F64) -> float:
    """What stands for a missing value, of transformed ones. A constant goes through what every value does."""
    match treatment.impute:
        case "constant":
            return float(transformed(constants, treatment.transform)[0])
        case "median":
            return float(np.median(values))
        case "most-frequent":
            distinct, counts = np.unique(values, return_counts=True)
            return float(distinct[counts.argmax()])
    return float(values.mean())


def _require_logarithm(values: F64, party: str, what: str) -> None:
    if values.min() <= -1:
        raise DataError(party, f"{what} of -1 or less, without a log1p", 'use "signed-log", or clip it')


def _require_fit(found: Prepared, values: F64, treatment: Treatment, party: str, column: str) -> None:
    """Whole numbers are bounded: what would be cut is refused, but for outliers of a scale that follows the column."""
    if not np.isfinite([found.filler, found.centre, found.spread]).all():
        raise DataError(party, f"{column} has values too large to have a spread", 'clip it by "bounds"')
    if treatment.scale == "none" and np.abs(values).max() > _FITS:
        raise DataError(
            party, f'{column} is not scaled, and has values beyond {LARGEST_VALUE / VALUE}, the most that fits',
            "scale it, or clip it",
        )  # fmt: skip
    if treatment.impute == "constant" and abs(found.filler - found.centre) > _FITS * found.spread:
        raise DataError(
            party, f"the constant that stands for missing values of {column} lies further out than "
            f"{LARGEST_VALUE / VALUE} of its scale, the most that fits", "take a nearer one, with an indicator",
        )  # fmt: skip
