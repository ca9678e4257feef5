"""The partner's half of binning: its columns become one-hot bins over the rows of an alignment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
import numpy as np

from protocol.algorithms.binning import (
    CategoryRule,
    ColumnShape,
    Cutting,
    Rule,
    apply_rule,
    fit_rule,
    shape_of,
    sizes_of,
)
from protocol.algorithms.preparing import fit_prepared, level_of_bins, require_kind
from protocol.errors import DataError, nearest
from protocol.he.base import OneHot
from protocol.he.streams import digest
from protocol.messages import I64, U8
from protocol.settings.preparation import USUAL, Preparation, Treatment, kinds_of
from protocol.table import Column


@dataclass(frozen=True)
class BinnedTable:
    """All columns of the partner's table in bins, in the table's own order of rows.

    names, rules: of the d columns kept. bins: shape (rows of the table, d), uint8. dropped: numbers of columns
    left with one bin, which tell nothing. monotone: places, among those kept, of the columns that have a direction.
    told_as: names that the bank may use, by column; told_bins: columns of which it is told what lies in a bin.
    preparation: what the job has columns go through as numbers, None: what is usual; prepare: what the partner has its
    own go through instead, by column.
    """

    names: tuple[str, ...]
    rules: tuple[Rule, ...]
    numbers: tuple[int, ...]
    bins: U8
    dropped: tuple[int, ...]
    monotone: frozenset[int] = frozenset()
    told_as: Mapping[str, str] = field(default_factory=dict)
    told_bins: frozenset[str] = frozenset()
    preparation: Treatment | None = None
    prepare: Mapping[str, Preparation] = field(default_factory=dict)

    @cached_property
    def shapes(self) -> tuple[ColumnShape, ...]:
        """What the bank is told."""
        return tuple(self._shape(place) for place in range(len(self.rules)))

    def _shape(self, place: int) -> ColumnShape:
        column, rule = self.names[place], self.rules[place]
        bare = shape_of(self.numbers[place], rule, place in self.monotone)
        told = rule if column in self.told_bins else None
        shape = msgspec.structs.replace(bare, name=self.told_as.get(column, ""), rule=told)
        treatment = self.treatment(place)
        if treatment == USUAL and not (isinstance(rule, CategoryRule) and rule.ordered):
            return shape
        levels: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
        if isinstance(rule, CategoryRule):
            levels = level_of_bins(rule, np.bincount(self.bins[:, place], minlength=rule.ordinary), treatment)
        told_treatment = msgspec.UNSET if treatment == USUAL else kinds_of(treatment)
        return msgspec.structs.replace(shape, treatment=told_treatment, levels=levels)

    def treatment(self, place: int) -> Treatment:
        """What a column goes through to become numbers."""
        return self.prepare.get(self.names[place], Preparation()).treatment(self.preparation or USUAL)

    @cached_property
    def digest(self) -> bytes:
        """Names bins and cuts, and how the job has columns prepared, whatever alignment they are used in."""
        prepared = [msgspec.json.encode(self.preparation)] if self.preparation else []
        return digest(msgspec.json.encode(self.rules), np.ascontiguousarray(self.bins).data, *prepared)

    def aligned(self, order: I64) -> OneHot:
        """The matrix over a row space. order: the table's row at each position, -1 where not held, shape (n,)."""
        positions = np.flatnonzero(order >= 0)
        bins = np.ascontiguousarray(self.bins[order[positions]])
        return OneHot(bins, sizes_of(self.shapes), len(order), positions.astype(np.int64))


def bin_table(
    party: str,
    columns: Sequence[Column],
    cutting: Cutting,
    min_rows: int,
    directions: Mapping[str, int] | None = None,
) -> BinnedTable:
    """Bin every column over all rows of the table, so that bins do not depend on an alignment's order.

    directions: 1 where risk must not fall as the column grows, -1 where it must not rise; the bins of such a column
    are numbered along it, so that the bank is not told which.
    Raises: DataError: no column has two bins; a direction for categories, or for no column.
    """
    ways = directions or {}
    require_ordered(party, columns, ways)
    rules, kept = list[Rule](), list[int]()
    bins = np.empty((0, len(columns)), dtype=np.uint8)
    for j, column in enumerate(columns):
        values = column.rows(slice(None))  # once: a large table is stored, and each use reads it
        rule = _along(fit_rule(values, cutting, min_rows), ways.get(column.name, 0))
        if rule.ordinary + rule.missing < 2:
            continue
        binned = apply_rule(rule, values)
        if not kept:
            bins = np.empty((len(binned), len(columns)), dtype=np.uint8)
        bins[:, len(kept)] = binned
        rules.append(rule)
        kept.append(j)
    if not kept:
        raise DataError(party, "has no usable column: each is constant or missing", "give columns that vary")
    return BinnedTable(
        tuple(columns[j].name for j in kept),
        tuple(rules),
        tuple(kept),
        np.ascontiguousarray(bins[:, : len(kept)]),
        tuple(j for j in range(len(columns)) if j not in kept),
        frozenset(place for place, j in enumerate(kept) if ways.get(columns[j].name)),
        preparation=cutting.preparation,
    )


def _along(rule: Rule, direction: int) -> Rule:
    return rule.reversed() if direction < 0 else rule


def require_ordered(party: str, columns: Sequence[Column], directions: Mapping[str, int]) -> None:
    directed = {column.name: column.kind == "number" or column.ordered for column in columns}
    for name, direction in directions.items():
        if name not in directed:
            raise DataError(party, f"declares a direction of {name!r}, which is no column of its", "correct monotone")
        if direction and not directed[name]:
            raise DataError(party, f"column {name!r} holds categories, which have no direction", "correct monotone")


def require_preparable(party: str, columns: Sequence[Column], prepare: Mapping[str, Preparation]) -> None:
    """Raises: DataError: a preparation of no column, or one that its values do not admit."""
    require_named(party, columns, prepare, "prepare")
    for column in columns:
        own = prepare.get(column.name)
        if own is not None:
            require_kind(party, column, own)
            if column.kind == "number":
                fit_prepared(column.numbers, own.treatment(), party, f"column {column.name!r}")


def require_named(party: str, columns: Sequence[Column], names: Iterable[str], key: str) -> None:
    """Raises: DataError: a setting names a column that is not there."""
    known = [column.name for column in columns]
    for name in names:
        if name not in known:
            thing = f"{key} names {name!r}, which is no column of its{nearest(name, known)}"
            raise DataError(party, thing, f"correct {key}")
