"""What a run says of the columns that its linear models could have had: checks of each, and why it stayed or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bank_node.family.bin_names import name_of
from bank_node.family.training import TrainedRung, Training
from bank_node.linear.columns import Encoded, failed
from bank_node.linear.inference import reasons_of
from bank_node.linear.selection import Choice
from bank_node.linear.task import FittedGlm
from bank_node.record.facts import Considered
from protocol.algorithms.glm_parameters import GlmParams


@dataclass(frozen=True)
class _Column:
    """One column of a party: its place there, its name, and the places of its terms among all of the model."""

    party: str
    place: int
    name: str
    terms: list[int]


def selection_facts(training: Training, trained: TrainedRung[FittedGlm], params: GlmParams) -> list[Considered]:
    """Every column of every party in the rung; none unless the job selects."""
    fitted, encoded = trained.fitted, training.prepared[trained.model]
    if fitted.choice is None:
        return []
    columns = [*_own(training, fitted, encoded), *_theirs(training, trained, fitted)]
    named = {term: f"{c.party}: {c.name}" for c in columns for term in c.terms}
    reasons = reasons_of(fitted, params)[1:]
    return [_considered(training, encoded, params, fitted.choice, reasons, column, named) for column in columns]


def _own(training: Training, fitted: FittedGlm, encoded: Encoded) -> Iterator[_Column]:
    bank, terms = fitted.model.parties[0], [term.column for term in fitted.model.own]
    names = training.job.parties[bank].names
    for place, column in enumerate(encoded.columns):
        yield _Column(bank, place, names.get(column, column), [j for j, c in enumerate(terms) if c == column])


def _theirs(training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm) -> Iterator[_Column]:
    first = len(fitted.model.own)
    for party in fitted.model.parties[1:]:
        for place, shape in enumerate(training.view(trained, party).columns):
            own = [first + j for j, t in enumerate(fitted.model.theirs) if (t.party, t.column) == (party, shape.number)]
            yield _Column(party, place, name_of(shape), own)


def _considered(
    training: Training,
    encoded: Encoded,
    params: GlmParams,
    choice: Choice,
    reasons: Sequence[str],
    column: _Column,
    named: dict[int, str],
) -> Considered:
    found = encoded.checks.get(column.party)
    one = found[column.place] if found else None
    reason, best = _reason(reasons, column), max(column.terms, key=lambda j: _size(choice, j), default=None)
    if not column.terms and one is not None:
        reason = failed(one, training.job.selection, params.min_iv) or "weaker"
    return Considered(
        party=column.party,
        column=column.name,
        iv=one and one.iv,
        missing=one and one.missing,
        single=one and one.single,
        stability=one and one.stability,
        correlation=None if best is None else _known(choice.correlation[best]),
        beside="" if best is None else named.get(int(choice.beside[best]), ""),
        inflation=None if best is None else _known(choice.inflation[best]),
        left_out=reason,
    )


def _reason(reasons: Sequence[str], column: _Column) -> str:
    """Why a column is not in the model; "" if one of its terms is. reasons: of every term."""
    own = [reasons[j] for j in column.terms]
    return "" if "" in own else next(iter(own), "weaker")


def _size(choice: Choice, term: int) -> float:
    return float(np.nan_to_num(np.abs(choice.correlation[term])))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
