"""From a fitted logistic regression on weights of evidence to the scorecard of a rung."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bank_node.family.bank_columns import BankColumns
from bank_node.family.bin_names import name_of, names_of_rule, names_of_shape
from bank_node.linear.coarse_classing import joined_bins
from bank_node.linear.woe import Flags, evidence_of_bank, evidence_of_partner
from bank_node.models.linear import LinearModel
from bank_node.partners.partner_view import PartnerView
from bank_node.record.scorecard import Attribute, Characteristic, Scale, Scorecard
from protocol.algorithms.binning import ColumnShape, shape_of
from protocol.algorithms.glm import VALUE
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.algorithms.woe import Evidence
from protocol.job import Binning
from protocol.messages import I64


@dataclass(frozen=True)
class Counted:
    """What the training part says of all columns in the fine bins of scorecards.

    names: what the bank's columns are called, where that is another name. counts: of the partners' bins, by partner.
    """

    columns: BankColumns
    views: Mapping[str, PartnerView]
    counts: Mapping[str, I64]
    train: Flags
    bad: Flags
    binning: Binning
    names: Mapping[str, str]


@dataclass(frozen=True)
class _Term:
    """One term of the model. values: of its fine bins, in thousandths, `not_held` last where there is one."""

    party: str
    name: str
    shape: ColumnShape
    values: Sequence[int]
    coefficient: float
    evidence: Evidence
    groups: I64
    bins: Sequence[str]


def scorecard_of(model: LinearModel, params: ScorecardParams, counted: Counted) -> Scorecard:
    """The scorecard of a model that was fitted on these counts; of columns left out it says nothing."""
    scale = Scale(
        base_score=params.base_score, pdo=params.pdo, base_odds=params.base_odds, decimals=params.decimals
    )  # fmt: skip
    terms = [term for term in (*_own(model, counted), *_theirs(model, counted)) if term.coefficient]
    share = (scale.offset - scale.factor * model.coefficient(model.intercept)) / max(1, len(terms))
    exact = [[share - scale.factor * t.coefficient * woe for woe in _woes(t)] for t in terms]
    points = [[round(p, scale.decimals) + 0.0 for p in one] for one in exact]
    unseen = round(share, scale.decimals) + 0.0
    off = [max(abs(p - q) for p, q in zip(*pair, strict=True)) for pair in zip(exact, points, strict=True)]
    return Scorecard(
        scale=scale,
        rounding=float(sum(off)),
        least=float(sum(min(one) for one in points)) if terms else unseen,
        most=float(sum(max(one) for one in points)) if terms else unseen,
        unseen=unseen,
        characteristics=tuple(_characteristic(t, p) for t, p in zip(terms, points, strict=True)),
    )


def _own(model: LinearModel, counted: Counted) -> Iterator[_Term]:
    columns = counted.columns
    evidence = evidence_of_bank(columns, counted.train, counted.bad)
    for term in model.own:
        j = columns.names.index(term.column)
        shape = shape_of(j, columns.rules[j])
        groups = joined_bins(evidence[j], shape, counted.binning)
        name, bins = counted.names.get(term.column, term.column), names_of_rule(columns.rules[j], groups)
        value = model.coefficient(term.coefficient)
        yield _Term(model.parties[0], name, shape, term.values, value, evidence[j], groups, bins)


def _theirs(model: LinearModel, counted: Counted) -> Iterator[_Term]:
    found = {
        party: evidence_of_partner(counted.views[party], counted.counts[party], counted.train, counted.bad)
        for party in model.parties[1:]
    }
    for term in model.theirs:
        view = counted.views[term.party]
        j = next(place for place, shape in enumerate(view.columns) if shape.number == term.column)
        shape, evidence = view.columns[j], found[term.party][j]
        groups = joined_bins(evidence, shape, counted.binning)
        values = [*term.values, term.not_held][: len(evidence.rows)]
        value = model.coefficient(term.coefficient)
        yield _Term(term.party, name_of(shape), shape, values, value, evidence, groups, names_of_shape(shape, groups))


def _woes(term: _Term) -> list[float]:
    """Of each joined bin, as the model has it."""
    first = [int(np.flatnonzero(term.groups == g)[0]) for g in range(int(term.groups.max()) + 1)]
    return [term.values[b] / VALUE for b in first]


def _characteristic(term: _Term, points: list[float]) -> Characteristic:
    joined = term.evidence.joined(term.groups)
    each = zip(term.bins, joined.rows.tolist(), joined.bads.tolist(), _woes(term), points, strict=True)
    return Characteristic(
        party=term.party,
        name=term.name,
        coefficient=term.coefficient,
        iv=joined.iv,
        sign=term.coefficient <= 0,
        monotone=_monotone(term, points),
        attributes=tuple(
            Attribute(name=n, rows=r, bads=b, bad_rate=b / r if r else 0.0, woe=w, points=p) for n, r, b, w, p in each
        ),
    )


def _monotone(term: _Term, points: list[float]) -> bool | None:
    if term.shape.categorical:
        return None
    ordered = int(term.groups[: term.shape.ordinary - term.shape.special].max()) + 1
    steps = np.diff(points[:ordered])
    return bool((steps >= 0).all() or (steps <= 0).all())
