"""What a run says of how columns became numbers: the bank's own with their figures, a partner's by kind alone."""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from bank_node.family.bin_names import name_of, names_of_rule
from bank_node.family.training import TrainedRung, Training
from bank_node.linear.preparing import Preparing, treatment_of
from bank_node.linear.task import FittedGlm
from bank_node.models.linear import OwnTerm, PartnerTerm
from bank_node.record.facts import PreparedColumn
from protocol.algorithms.binning import CategoryRule
from protocol.algorithms.glm import LARGEST_VALUE
from protocol.algorithms.preparing import Prepared
from protocol.settings.preparation import Treatment, kinds_of
from protocol.table import Column


def prepared_columns(training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm) -> list[PreparedColumn]:
    """Every column of the model, in its order."""
    return [*_own(training, fitted), *_theirs(training, trained, fitted)]


def _own(training: Training, fitted: FittedGlm) -> Iterator[PreparedColumn]:
    bank = training.table.party
    called, preparing = training.job.parties[bank].names, Preparing.of_job(training.job, bank)
    columns = {column.name: column.rows(training.parts == "train") for column in training.table.columns}
    for name in dict.fromkeys(term.column for term in fitted.model.own):
        terms = [term for term in fitted.model.own if term.column == name]
        treatment = preparing.treatment(name)
        categorical = isinstance(terms[0].rule, CategoryRule)
        told = _kinds(bank, called.get(name, name), treatment, terms, categorical)
        figures = _levels(terms) if categorical else _figures(terms[0], columns[name])
        limits = treatment.limits if treatment.clip == "bounds" else told.limits
        yield told.model_copy(update={"limits": limits, "missing": _missing(columns[name])} | figures)


def _theirs(training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm) -> Iterator[PreparedColumn]:
    for party in trained.rung.partners:
        terms = [term for term in fitted.model.of(party) if not term.values or any(term.values)]
        shapes = {shape.number: shape for shape in training.view(trained, party).columns}
        for number in dict.fromkeys(term.column for term in terms):
            shape, own = shapes[number], [term for term in terms if term.column == number]
            yield _kinds(party, name_of(shape), treatment_of(shape), own, shape.categorical)


def _kinds(
    party: str, column: str, treatment: Treatment, terms: Sequence[OwnTerm] | Sequence[PartnerTerm], categorical: bool
) -> PreparedColumn:
    """terms: that the column has become; of numbers, one with values indicates missing ones."""
    told = kinds_of(treatment)
    return PreparedColumn(
        party=party,
        column=column,
        levels=len(terms) + 1 if categorical else 0,
        impute=told.impute,
        indicator=told.indicator if categorical else any(term.values for term in terms),
        clip=told.clip,
        limits=told.limits if told.clip in ("quantiles", "deviations") else None,
        transform=told.transform,
        scale=told.scale,
    )


def _levels(terms: Sequence[OwnTerm]) -> dict[str, object]:
    """The reference: what is in the bins that have no column."""
    bins = names_of_rule(terms[0].rule, np.arange(len(terms[0].values)))
    taken = [any(values) for values in zip(*(term.values for term in terms), strict=True)]
    return {"reference": ", ".join(name for name, has in zip(bins, taken, strict=True) if not has)}


def _figures(term: OwnTerm, column: Column) -> dict[str, object]:
    """Of numbers: where they are clipped, what stands for a missing one, by which they are scaled, and how many are
    cut. Of a column that is only indicated, none."""
    if term.values:
        return {}
    cut = float((np.abs(term.encode(column)) == LARGEST_VALUE).mean())
    found = term.prepared
    if isinstance(found, msgspec.UnsetType):
        found = Prepared("none", None, None, term.mean, term.mean, term.deviation)
    return {
        "low": found.low, "high": found.high, "filler": found.filler, "centre": found.centre, "spread": found.spread,
        "cut": cut,
    }  # fmt: skip


def _missing(column: Column) -> float:
    gone = column.codes < 0 if column.kind == "category" else np.isnan(column.numbers)
    return float(gone.mean())
