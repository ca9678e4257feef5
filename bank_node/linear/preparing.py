"""What columns become in a linear model that takes them as numbers: themselves, levels of a category, indicators."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from bank_node.family.bank_columns import BankColumns
from bank_node.models.linear import OwnTerm
from bank_node.partners.partner_view import PartnerView
from protocol.algorithms.binning import CategoryRule, ColumnShape, Rule
from protocol.algorithms.glm import VALUE, mean_and_deviation
from protocol.algorithms.preparing import columns_of_levels, fit_prepared, level_of_bins, require_kind
from protocol.errors import IntegrityError
from protocol.job import Job
from protocol.settings.preparation import USUAL, Preparation, Treatment
from protocol.table import Column

Flags = npt.NDArray[np.bool_]
Values = tuple[int, ...]
"""What stands for each bin, in thousandths; of none, the column's own numbers."""


@dataclass(frozen=True)
class Preparing:
    """How columns are prepared. job: every party's; own: the bank's, by column, where it is another."""

    job: Treatment = USUAL
    own: Mapping[str, Preparation] = field(default_factory=dict)

    @classmethod
    def of_job(cls, job: Job, bank: str) -> "Preparing":
        """As a job declares it."""
        return cls(job.preparation.treatment(), job.parties[bank].prepare)

    def treatment(self, column: str) -> Treatment:
        """Of a column of the bank."""
        return self.own.get(column, Preparation()).treatment(self.job)

    def require_kinds(self, party: str, columns: Mapping[str, Column]) -> None:
        """Raises: DataError: what is declared for a column is not of its kind."""
        for name, own in self.own.items():
            if name in columns:
                require_kind(party, columns[name], own)


AS_USUAL: Final = Preparing()


def columns_of_bank(columns: BankColumns, place: int, train: Flags, treatment: Treatment) -> list[Values]:
    """What a column of the bank becomes; its levels are those of the rows trained on."""
    rule = columns.rules[place]
    if isinstance(rule, CategoryRule):
        counts = np.bincount(columns.bins[train, place], minlength=rule.ordinary)
        return columns_of_levels(level_of_bins(rule, counts, treatment))
    return [(), *_indicator(treatment, rule.missing, rule.ordinary)]


def columns_of_shape(party: str, shape: ColumnShape) -> list[Values]:
    """What a partner's column becomes. Raises: IntegrityError: levels that cannot be."""
    if shape.categorical or not isinstance(shape.levels, msgspec.UnsetType):
        levels = tuple(range(shape.size)) if isinstance(shape.levels, msgspec.UnsetType) else shape.levels
        if len(levels) != shape.size or set(levels) != set(range(max(levels) + 1)):
            raise IntegrityError(party, "told levels that cannot be", "run the same version on both sides")
        return columns_of_levels(levels)
    return [(), *_indicator(treatment_of(shape), shape.missing, shape.ordinary)]


def treatment_of(shape: ColumnShape) -> Treatment:
    """What a partner tells of what its column goes through."""
    return USUAL if isinstance(shape.treatment, msgspec.UnsetType) else shape.treatment


def told_apart(view: PartnerView, train: Flags) -> bool:
    """Whether rows that a partner does not hold are told by one more column, as missing values are by indicators."""
    indicated = any(treatment_of(shape).indicator for shape in view.columns)
    return indicated and bool((view.positions[train] < 0).any())


def own_term(
    column: Column, rule: Rule, values: Values, train: Flags, preparing: Preparing, party: str
) -> list[OwnTerm]:
    """The term of one of `columns_of_bank`; none of numbers that do not vary over the rows trained on.

    Raises: DataError: as `fit_prepared`.
    """
    if values:
        return [OwnTerm(column.name, rule, values, 0.0, 1.0)]
    treatment, numbers = preparing.treatment(column.name), column.numbers[train]
    if treatment != USUAL:
        prepared = fit_prepared(numbers, treatment, party, f"column {column.name!r}")
        return [] if prepared.constant else [OwnTerm(column.name, rule, (), 0.0, 1.0, prepared)]
    there = numbers[~np.isnan(numbers)]
    mean, deviation = mean_and_deviation(there)
    return [OwnTerm(column.name, rule, (), mean, deviation)] if deviation else []


def _indicator(treatment: Treatment, missing: bool, ordinary: int) -> list[Values]:
    """1 where a number is missing; none where too few are to have a bin."""
    return [(0,) * ordinary + (VALUE,)] if treatment.indicator and missing else []
