"""Binning: how a column becomes bins, and how the bank is told the shape of a partner's bins.

    bank                                   partner
     |-- LayoutQuery (alignment, cutting) --->|  bins its columns over all rows of its table
     |<- Layout (rows of M a column) ---------|  in the order of the alignment; keeps the cuts
     |-- HintQuery (bank's nonce) ----------->|  draws the masks, computes the hint
     |<- Hint (sealed; shape (R, N)) ---------|  a large hint is asked for some rows at a time

Each party bins its own columns with the rules below, without labels. Ordinary bins come first, those of special values
last among them; `missing` is the last row of a column that has missing values; `not_held` is no row of a partner's
matrix, since the bank sums it over its own unmatched rows. Which of these fine bins go together in a scorecard the bank
decides from exact counts (bank_node/linear/coarse_classing.py).

What each learns beyond the output: the bank, how many bins each column keeps, which columns are categorical,
which have missing values and which a direction (not which: a column with one has its bins numbered so that risk must
not fall as the number grows), and the names and cuts that the partner allows, none by default; the partner, the
settings.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.fields import (
    Count,
    Digest,
    Finite,
    Keys,
    Name,
    NameOrNone,
    Nonce,
    Rows,
    require_array,
    require_names,
    require_printable,
)
from protocol.he.base import MOST_ARRAY
from protocol.messages import F64, I64, U8, U64, Message, declared
from protocol.settings.preparation import Treatment, possible, text_of
from protocol.table import I32, Column

Bools = npt.NDArray[np.bool_]

MAX_BIN: Final = 255
"""Ordinary bins a column; with `missing` a bin number still fits a byte."""


Kind = Literal["quantile", "equal-width"]
Level = Annotated[int, Meta(ge=0, le=MAX_BIN)]
MOST_COLUMNS: Final = 1 << 16
SpecialValues = Annotated[tuple[Finite, ...], Meta(max_length=MAX_BIN)]


class Cutting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How every party cuts its columns into fine bins.

    max_bin: ordered bins a column at most. kind: bins of about equal numbers of rows, or of equal width.
    special: values of numeric columns that get a bin each, where they have the rows for it. preparation: what columns
    go through, of a linear model that takes them as numbers and where the job says something of it.
    """

    max_bin: Annotated[int, Meta(ge=0, le=MAX_BIN)]
    kind: Kind = "quantile"
    special: SpecialValues = ()
    preparation: Treatment | None = None

    @property
    def text(self) -> str:
        """For people: 16, or "20 equal-width, special -98"."""
        kind = "" if self.kind == "quantile" else f" {self.kind}"
        prepared = f", {text_of(self.preparation)}" if self.preparation else ""
        return f"{self.max_bin}{kind}" + "".join(f", special {value:g}" for value in self.special) + prepared

    @property
    def possible(self) -> bool:
        """Whether bins so made have numbers that fit a byte, and columns can be prepared so."""
        if self.preparation and not possible(self.preparation):
            return False
        special = len(set(self.special)) == len(self.special) and bool(np.isfinite(self.special).all())
        return special and self.max_bin >= 2 and self.max_bin + len(self.special) <= MAX_BIN


class ColumnShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bank is told of one column.

    number: place in the partner's list of columns. ordinary: bins but for `missing`.
    missing: whether there is a `missing` bin. categorical: bins have no order, splits are subsets.
    increasing: the margin must not fall as the bin's number grows. special: how many of the ordinary bins, the last
    ones, hold a special value each and have no place in the order. name, rule: the column's name, and what lies in its
    bins, where the partner tells them. treatment: what the column goes through as numbers, if not what all do, without
    the values that the partner names; levels: then the level of each bin of a category (`level_of_bins`).
    """

    number: Annotated[int, Meta(ge=0, lt=1 << 16)]
    ordinary: Annotated[int, Meta(ge=1, le=MAX_BIN)]
    missing: bool
    categorical: bool
    increasing: bool = False
    special: Annotated[int, Meta(ge=0, le=MAX_BIN)] = 0
    name: NameOrNone = ""
    rule: "Rule | None" = None
    treatment: Treatment | msgspec.UnsetType = msgspec.UNSET
    levels: Annotated[tuple[Level, ...], Meta(max_length=MAX_BIN + 1)] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        require_printable(self.name)
        if self.special > self.ordinary:
            raise ValueError("more special bins than there are")

    @property
    def size(self) -> int:
        """Rows of the matrix that belong to the column."""
        return self.ordinary + self.missing


def wrong_names(names: Mapping[str, str]) -> str:
    """Why these names of columns cannot be used, "" if they can: each is another one, and none is like a number's."""
    told = list(names.values())
    if "" in told or len(set(told)) < len(told):
        return "has an empty name, or one twice"
    return "has a name like that of a numbered column" if any(re.fullmatch(r"column \d+", n) for n in told) else ""


@declared(
    "binning.layout_query",
    content="alignment, number and kind of bins wanted, special values",
    purpose="bin the columns alike for all",
)
class LayoutQuery(Message, frozen=True):
    """The bank asks the partner to bin its columns over the rows of an alignment."""

    alignment: Digest
    cutting: Cutting


@declared(
    "binning.layout",
    content="bins a column, whether categorical, missing, special, monotone, prepared; names if allowed; those dropped",
    purpose="tell the bank the shape of the sums",
    most_bytes=1 << 26,
)
class Layout(Message, frozen=True):
    """The shape of the partner's matrix. layout: digest of alignment, cuts and data, names it from now on."""

    layout: Digest
    rows: Rows
    columns: Annotated[tuple[ColumnShape, ...], Meta(max_length=MOST_COLUMNS)]
    dropped: Annotated[tuple[Count, ...], Meta(max_length=MOST_COLUMNS)]
    nonce: Nonce


@declared(
    "binning.hint_query",
    content="a random nonce, and which part of the hint; on engines ckks and paillier the bank's public keys",
    purpose="joint public randomness of the hint",
    most_bytes=1 << 28,
)
class HintQuery(Message, frozen=True, omit_defaults=True):
    """The bank's share of the public seed. keys: with which the partner computes, on engines that have some.

    first, count: rows of the hint that are wanted; count 0: all from `first` on. Parts of one hint have one nonce.
    """

    layout: Digest
    engine: Name
    nonce: Nonce
    keys: Keys = b""
    first: Count = 0
    count: Count = 0

    def __post_init__(self) -> None:
        require_names(self.engine)


@declared(
    "binning.hint",
    content="the one-hot bins times public randomness, masked",
    purpose="let the bank open the sums, once for all trainings",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class Hint(Message, frozen=True):
    """The hint, or the part asked for, shape (R, N), uint64: top 64 bits of the masked rows."""

    hint: U64

    def __post_init__(self) -> None:
        require_array(self.hint, None, None)


class NumberRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="number"):
    """Ordered bins: bin = how many cuts are <= the value; how many are > the value, if descending.

    cuts: ascending, shape (ordered - 1,). missing: whether missing values have a bin of their own.
    missing_as: the bin that a few missing values joined, or None.
    special: values with a bin each, after the ordered ones. rare: special values of too few rows, taken for missing.
    """

    cuts: Annotated[tuple[Finite, ...], Meta(max_length=MAX_BIN)]
    missing: bool
    missing_as: Level | None
    descending: bool = False
    special: SpecialValues = ()
    rare: SpecialValues = ()

    @property
    def ordered(self) -> int:
        """Bins but for `missing` and those of special values."""
        return len(self.cuts) + 1

    @property
    def ordinary(self) -> int:
        """Bins but for `missing`."""
        return self.ordered + len(self.special)

    def apply(self, values: F64) -> U8:
        """Bins of the values, shape (n,); a missing value gets the number `ordinary`."""
        bins = np.searchsorted(self.cuts, values, side="right").astype(np.uint8)
        if self.descending:
            bins = (len(self.cuts) - bins).astype(np.uint8)
        for place, value in enumerate(self.special):
            bins[values == value] = self.ordered + place
        gone = np.isnan(values) | np.isin(values, self.rare)
        bins[gone] = self.ordinary if self.missing_as is None else self.missing_as
        return bins

    def reversed(self) -> "NumberRule":
        """The same bins, the ordered ones numbered from the other end."""
        joined = self.missing_as
        if joined is not None and joined < self.ordered:
            joined = len(self.cuts) - joined
        return msgspec.structs.replace(self, missing_as=joined, descending=not self.descending)


class CategoryRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="category"):
    """Bins that each hold the categories named; a category never seen is missing. ordered: they are grades."""

    groups: tuple[tuple[str, ...], ...]
    missing: bool
    missing_as: Level | None
    ordered: bool = False

    @property
    def ordinary(self) -> int:
        """Bins but for `missing`."""
        return len(self.groups)

    def apply(self, codes: I32, categories: Sequence[str]) -> U8:
        """Bins of the codes, shape (n,), where code -1 is missing."""
        missing = self.ordinary if self.missing_as is None else self.missing_as
        bin_of = {name: b for b, group in enumerate(self.groups) for name in group}
        lookup = np.array([bin_of.get(name, missing) for name in categories] + [missing], dtype=np.uint8)
        return lookup[codes]

    def reversed(self) -> "CategoryRule":
        """The same bins, numbered from the other end."""
        joined = None if self.missing_as is None else self.ordinary - 1 - self.missing_as
        return msgspec.structs.replace(self, groups=self.groups[::-1], missing_as=joined)


Rule = NumberRule | CategoryRule


def fit_number(
    values: F64, max_bin: int, min_rows: int, kind: Kind = "quantile", special: tuple[float, ...] = ()
) -> NumberRule:
    """Ordered bins of a column; small bins join a neighbour, few missing values the largest bin.

    By quantiles, a value of many rows (zeros, a cap, a default) has a bin of its own: see `_quantile_cuts`.

    values: shape (n,), nan = missing. max_bin: ordered bins at most. min_rows: rows a bin must have; a column with
    fewer ordinary values has one bin, whatever is missing or special. special: a value of fewer rows is missing.
    """
    least = max(min_rows, 1)
    often = {value: int((values == value).sum()) for value in special}
    ordinary = values[~np.isnan(values) & ~np.isin(values, special)]
    present = np.sort(ordinary)
    if present.size < least:
        return NumberRule((), missing=False, missing_as=0)
    cuts = _cuts(present, max_bin, least, kind)
    starts = np.concatenate(([0], np.searchsorted(present, cuts, side="left")))
    counts = np.diff(np.append(starts, present.size))
    kept = _join_small(counts, least)
    own, rare = (tuple(v for v in special if (often[v] >= least) == enough) for enough in (True, False))
    missing = len(values) - present.size - sum(often[v] for v in own)
    joined = [*np.add.reduceat(counts, np.concatenate(([0], kept + 1))), *(often[v] for v in own)]
    few = 0 < missing < least
    return NumberRule(
        tuple(cuts[kept].tolist()), missing >= least, int(np.argmax(joined)) if few else None, special=own, rare=rare
    )


def _cuts(present: F64, max_bin: int, least: int, kind: Kind) -> F64:
    """Cuts between the sorted values, before small bins are joined; few distinct values get a bin each."""
    first = np.flatnonzero(np.concatenate(([True], present[1:] != present[:-1])))
    if first.size <= max_bin:
        return present[first[1:]]
    if kind == "quantile":
        return present[_quantile_cuts(np.diff(np.append(first, present.size)), first, max_bin, least)]
    halved = np.linspace(present[0] / 2, present[-1] / 2, max_bin + 1)  # the width itself may be no number
    cuts: F64 = np.unique(2 * halved[1:-1])
    above: F64 = cuts[cuts > present[0]]
    return above


def _quantile_cuts(counts: I64, first: I64, max_bin: int, least: int) -> I64:
    """Where bins begin among the sorted rows, but for the first bin: bins of about equal numbers of rows.

    A mass point is a bin of its own. The runs of values between mass points share the bins that are left, and each run
    is cut at its own quantiles, so that no bin mixes a mass point with the rare values beside it.
    counts, first: rows of each distinct value, and where its rows begin, shape (more than max_bin,).
    """
    mass = _mass_points(counts, max_bin)
    edges = np.flatnonzero(np.append(mass, True) | np.append(True, mass))
    starts, ends = edges[:-1], edges[1:]
    rows = np.append(first, first[-1] + counts[-1])
    sizes = rows[ends] - rows[starts]
    shares = _shares(sizes, np.where(mass[starts], 1, np.minimum(ends - starts, sizes // least)), max_bin)
    begins = [
        first[k + np.searchsorted(first[k:end], rows[k] + np.arange(share) * size // share, side="right") - 1]
        for k, end, size, share in zip(starts, ends, sizes, shares, strict=True)
    ]
    cuts = np.unique(np.concatenate(begins))
    joined = _join_small(np.diff(np.append(cuts, rows[-1])), least, max_bin)
    kept: I64 = cuts[1:][joined]
    return kept


def _mass_points(counts: I64, max_bin: int) -> Bools:
    """Which values have more rows than an equal share of the bins, shape as counts.

    What is left to the other values is shared out anew after each mass point, so that one does not hide another.
    """
    mass = np.zeros(len(counts), dtype=bool)
    while True:
        left = max_bin - int(mass.sum())
        more = ~mass & (counts * left > counts[~mass].sum())
        if not more.any():
            return mass
        mass |= more


def _shares(sizes: I64, most: I64, bins: int) -> list[int]:
    """Bins a run of values: one each, and each further one to the run whose bins hold the most rows."""
    shares = np.ones(len(sizes), dtype=np.int64)
    for _ in range(bins - len(sizes)):
        rows_a_bin = np.where(shares < most, sizes / shares, 0.0)
        if not rows_a_bin.any():
            break
        shares[np.argmax(rows_a_bin)] += 1
    return [int(share) for share in shares]


def fit_category(codes: I32, categories: Sequence[str], max_bin: int, min_rows: int) -> CategoryRule:
    """A bin a frequent category, the rest pooled in one; few missing values join the largest bin."""
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda c: (-counts[c], categories[c]))
    if counts.sum() < max(min_rows, 1):
        return CategoryRule((tuple(categories[c] for c in order),), missing=False, missing_as=0)
    fits = len(order) <= max_bin
    own = [c for place, c in enumerate(order) if counts[c] >= min_rows and (fits or place < max_bin - 1)]
    pool = order[len(own) :]
    groups: list[tuple[str, ...]] = [(categories[c],) for c in own]
    if pool:
        names = tuple(categories[c] for c in pool)
        if counts[pool].sum() >= min_rows or not groups:
            groups.append(names)
        else:
            groups[-1] += names
    missing = int((codes < 0).sum())
    own_bin = missing >= max(min_rows, 1)
    return CategoryRule(tuple(groups), own_bin, 0 if missing and not own_bin else None)


def fit_grades(codes: I32, categories: Sequence[str], max_bin: int, min_rows: int) -> CategoryRule:
    """Ordered bins of a column of grades, lowest first: cut as numbers are, by their places among the categories."""
    rule = fit_number(np.where(codes < 0, np.nan, codes), max_bin, min_rows)
    bins = rule.apply(np.arange(len(categories), dtype=np.float64)).tolist()
    groups = [tuple(c for c, b in zip(categories, bins, strict=True) if b == k) for k in range(rule.ordered)]
    return CategoryRule(tuple(groups), rule.missing, rule.missing_as, ordered=True)


def fit_rule(column: Column, cutting: Cutting, min_rows: int) -> Rule:
    """The rule of one column, by its kind."""
    if column.kind == "number":
        return fit_number(column.numbers, cutting.max_bin, min_rows, cutting.kind, cutting.special)
    fit = fit_grades if column.ordered else fit_category
    return fit(column.codes, column.categories, cutting.max_bin, min_rows)


def apply_rule(rule: Rule, column: Column) -> U8:
    """Bins of a column, which may come from another table than the rule: shape (n,), uint8."""
    if isinstance(rule, NumberRule):
        return rule.apply(column.numbers)
    return rule.apply(column.codes, column.categories)


def shape_of(number: int, rule: Rule, increasing: bool = False) -> ColumnShape:
    """What may be told of a rule. increasing: the column has a direction, and the rule is numbered along it."""
    special = len(rule.special) if isinstance(rule, NumberRule) else 0
    return ColumnShape(number, rule.ordinary, rule.missing, not in_order(rule), increasing, special)


def in_order(rule: Rule) -> bool:
    """Whether the bins have an order, so that a column so binned may have a direction."""
    return isinstance(rule, NumberRule) or rule.ordered


def sizes_of(shapes: Sequence[ColumnShape]) -> I64:
    """Rows of the matrix a column, shape (d,)."""
    return np.array([shape.size for shape in shapes], dtype=np.int64)


def starts_of(shapes: Sequence[ColumnShape]) -> I64:
    """The first row of the matrix of each column, and the number of rows last, shape (d + 1,)."""
    return np.concatenate(([0], np.cumsum(sizes_of(shapes)))).astype(np.int64)


def _join_small(counts: I64, min_rows: int, most: int = MAX_BIN) -> I64:
    """The cuts that stay when small bins join their smaller neighbour, smallest first.

    Bins join while one has fewer than `min_rows` rows, or while there are more than `most` bins. Small bins beside a
    large one so join each other first, and it takes them in only where together they are below the minimum.
    """
    sizes = [int(c) for c in counts]
    cuts = list(range(len(sizes) - 1))
    while cuts and (min(sizes) < min_rows or len(sizes) > most):
        b = sizes.index(min(sizes))
        left = b > 0 and (b == len(sizes) - 1 or sizes[b - 1] <= sizes[b + 1])
        into = b - 1 if left else b
        sizes[into : into + 2] = [sizes[into] + sizes[into + 1]]
        del cuts[into]
    return np.array(cuts, dtype=np.int64)
