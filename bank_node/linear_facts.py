"""What a run says of its linear models: coefficients with their errors, tests of parties, what partial scores told."""

import numpy as np

from bank_node.algorithms.glm import FittedGlm
from bank_node.algorithms.inference import above, figures_of
from bank_node.algorithms.telling import share_told
from bank_node.evaluation.facts import Leakage, Linear, PartyTest, Term
from bank_node.training import TrainedRung, Training
from protocol.algorithms.glm_parameters import GlmParams
from protocol.job import linear_params


def params_of(training: Training, trained: TrainedRung) -> GlmParams:
    """The parameters of a linear model."""
    params = linear_params(training.job.models[training.job.model_names.index(trained.model)])
    assert params is not None
    return params


def linear_facts(training: Training, trained: TrainedRung) -> Linear | None:
    """Of a rung under a linear model; None of trees."""
    fitted = trained.fitted
    if not isinstance(fitted, FittedGlm):
        return None
    params = params_of(training, trained)
    return Linear(
        family=params.family,
        encoding="woe" if params.by_woe else "numeric",
        joint=fitted.curvature.complete,
        rows=int((training.parts == "train").sum()),
        deviance=fitted.deviance,
        null_deviance=fitted.null_deviance,
        penalty=params.reg_lambda,
        steps=fitted.steps,
        converged=fitted.converged,
        terms=[Term(**vars(figures)) for figures in figures_of(fitted, params)],
        tests=_tests(training, trained, fitted, params),
    )


def _tests(training: Training, trained: TrainedRung, fitted: FittedGlm, params: GlmParams) -> list[PartyTest]:
    """Of every partner whose absence is a rung of its own; none under a penalty, or in the placebo."""
    if params.reg_lambda or trained.rung.placebo:
        return []
    out = []
    for partner in trained.rung.partners:
        others = tuple(p for p in trained.rung.partners if p != partner)
        for rung in training.rungs:
            alike = (rung.model, rung.rung.partners, rung.rung.placebo) == (trained.model, others, False)
            if alike and isinstance(rung.fitted, FittedGlm):
                statistic = max(0.0, (rung.fitted.deviance - fitted.deviance) / fitted.dispersion)
                degrees = int(fitted.active.sum() - rung.fitted.active.sum())
                if degrees > 0:
                    p = above(statistic, degrees)
                    out.append(PartyTest(party=partner, degrees=degrees, statistic=statistic, p=p))
    return out


def with_releases(training: Training, trained: TrainedRung, partner: str, leakage: Leakage) -> Leakage:
    """The same with what the partial scores told, of all rungs of the model so far: their columns are the same."""
    if not isinstance(trained.fitted, FittedGlm):
        return leakage
    place = next(k for k, rung in enumerate(training.rungs) if rung is trained)
    so_far = training.rungs[: place + 1]
    fits = [t.fitted for t in so_far if t.model == trained.model and isinstance(t.fitted, FittedGlm)]
    released = {(r.coefficients, r.decimals): r.scores for fit in fits for r in fit.released.get(partner, ())}
    told, values = None, [term.values for term in trained.fitted.model.of(partner)]
    if released and all(values):
        held = training.alignments[partner].positions
        scores = np.stack([s[held[held >= 0]] for s in released.values()])
        coefficients = np.array([values for values, _ in released], dtype=np.int64)
        told = share_told(values, coefficients, scores, [decimals for _, decimals in released])
    return leakage.model_copy(update={"releases": len(released), "told_rows": told})
