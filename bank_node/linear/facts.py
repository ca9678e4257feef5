"""What a run says of its linear models: coefficients with their errors, tests of parties, what partial scores told."""

from collections.abc import Sequence

import numpy as np

from bank_node.family.bin_names import NOT_HELD, name_of, names_of_rule, names_of_shape
from bank_node.family.training import TrainedRung, Training
from bank_node.linear.inference import above, figures_of
from bank_node.linear.preparation_facts import prepared_columns
from bank_node.linear.task import FittedGlm
from bank_node.record.facts import Linear, PartyTest, Term
from protocol.algorithms.glm_parameters import GlmParams


def linear_facts(training: Training, trained: TrainedRung[FittedGlm], params: GlmParams) -> Linear:
    """Of a rung under a linear model."""
    fitted = trained.fitted
    return Linear(
        family=params.family,
        encoding="woe" if params.by_woe else "numeric",
        joint=fitted.curvature.complete,
        rows=int((training.parts == "train").sum()),
        deviance=fitted.deviance,
        null_deviance=fitted.null_deviance,
        penalty=params.reg_lambda,
        lasso=params.reg_alpha,
        steps=fitted.steps,
        converged=fitted.converged,
        terms=_terms(training, trained, fitted, params),
        tests=_tests(training, trained, fitted, params),
        prepared=[] if params.by_woe else prepared_columns(training, trained, fitted),
    )


def _terms(training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm, params: GlmParams) -> list[Term]:
    """Every coefficient, under the name that a reader knows its column by."""
    names = ["", *_own_names(training, fitted, params), *_their_names(training, trained, fitted, params)]
    found = figures_of(fitted, params)
    return [term.model_copy(update={"column": name}) for name, term in zip(names, found, strict=True)]


def _own_names(training: Training, fitted: FittedGlm, params: GlmParams) -> list[str]:
    called = training.job.parties[training.table.party].names
    out = []
    for term in fitted.model.own:
        bins = names_of_rule(term.rule, np.arange(len(term.values))) if term.values and not params.by_woe else []
        out.append(_with_bins(called.get(term.column, term.column), term.values, bins))
    return out


def _their_names(
    training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm, params: GlmParams
) -> list[str]:
    shapes = {p: {s.number: s for s in training.view(trained, p).columns} for p in trained.rung.partners}
    out = []
    for term in fitted.model.theirs:
        shape = shapes[term.party][term.column]
        bins = names_of_shape(shape, np.arange(len(term.values))) if term.values and not params.by_woe else []
        out.append(NOT_HELD if bins and not any(term.values) else _with_bins(name_of(shape), term.values, bins))
    return out


def _with_bins(name: str, values: Sequence[int], bins: Sequence[str]) -> str:
    """A column; or, where it stands for some of its bins, which ones."""
    return f"{name}: {', '.join(told for told, value in zip(bins, values, strict=True) if value)}" if bins else name


def _tests(
    training: Training, trained: TrainedRung[FittedGlm], fitted: FittedGlm, params: GlmParams
) -> list[PartyTest]:
    """Of every partner whose absence is a rung of its own; none under a penalty, or in the placebo."""
    if params.penalised or trained.rung.placebo:
        return []
    out = []
    for partner in trained.rung.partners:
        others = tuple(p for p in trained.rung.partners if p != partner)
        for rung in training.rungs:
            alike = (rung.model, rung.rung.partners, rung.rung.placebo) == (trained.model, others, False)
            if alike:
                statistic = max(0.0, (rung.fitted.deviance - fitted.deviance) / fitted.dispersion)
                degrees = int(fitted.active.sum() - rung.fitted.active.sum())
                if degrees > 0:
                    p = above(statistic, degrees)
                    out.append(PartyTest(party=partner, degrees=degrees, statistic=statistic, p=p))
    return out
