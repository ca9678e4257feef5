"""What a fitted linear model says of its columns: standard errors, p-values, variance inflation, and chi-square tails.

Errors are those of the inverse information; p-values of normal Wald tests, as statsmodels' GLM has them. Where two
partners' columns are in a model, the block between them is not known (curvature.py): errors are then lower bounds, and
likelihood-ratio tests of each partner's columns together stand in place of p-values. Under an L1 penalty there are
neither: which columns are in the model has been decided by the same rows.
"""

from math import erfc, exp, lgamma, log, sqrt

import numpy as np

from bank_node.linear.task import FittedGlm
from bank_node.metrics.normal import two_sided
from bank_node.record.facts import Term
from protocol.algorithms.glm_parameters import GlmParams
from protocol.messages import F64


def figures_of(fitted: FittedGlm, params: GlmParams) -> list[Term]:
    """Of the intercept and every term, in the model's order, in units of the margin. column: its name in the model."""
    model, active = fitted.model, fitted.active
    errors = np.full(len(active), np.nan) if params.reg_alpha else _errors(fitted, params)
    inflation = np.full(len(active), np.nan)
    inflation[np.flatnonzero(active)[1:]] = fitted.at_start.inflation(active)
    bank = model.parties[0]
    names = [(bank, ""), *((bank, t.column) for t in model.own), *((t.party, t.name) for t in model.theirs)]
    numbers = [model.intercept, *(t.coefficient for t in model.own), *(t.coefficient for t in model.theirs)]
    out = []
    reasons = reasons_of(fitted, params)
    for j, ((party, column), number) in enumerate(zip(names, numbers, strict=True)):
        left_out = "" if reasons[j] == "collinear" else reasons[j]
        value = model.coefficient(number)
        p = two_sided(value / errors[j]) if np.isfinite(errors[j]) and fitted.curvature.complete else None
        out.append(
            Term(
                party=party,
                column=column,
                coefficient=value,
                error=_known(errors[j]),
                p=p,
                inflation=_known(inflation[j]),
                collinear=not active[j] and not left_out,
                left_out=left_out,
            )
        )
    return out


def reasons_of(fitted: FittedGlm, params: GlmParams) -> list[str]:
    """Why each coefficient is 0, the intercept's first: the check that it failed, "few" of a partner kept out, "lasso"
    by the L1 penalty; "" of all others."""
    numbers = [*(t.coefficient for t in fitted.model.own), *(t.coefficient for t in fitted.model.theirs)]
    chosen = fitted.choice.reasons if fitted.choice else [""] * len(numbers)
    out = [""]
    for number, reason, few in zip(numbers, chosen, fitted.few[1:], strict=True):
        lasso = "" if number or not params.reg_alpha else "lasso"
        out.append(reason or ("few" if few else lasso))
    return out


def _errors(fitted: FittedGlm, params: GlmParams) -> F64:
    """Standard errors, nan of what is not in the model, shape (p,)."""
    penalty = np.full(len(fitted.active), params.reg_lambda)
    penalty[0] = 0.0
    covariance = fitted.curvature.covariance(fitted.active, penalty) * fitted.dispersion
    errors = np.full(len(fitted.active), np.nan)
    errors[fitted.active] = np.sqrt(np.diag(covariance)) * fitted.model.scale
    return errors


def above(statistic: float, degrees: int) -> float:
    """P(X >= statistic) of a chi-square variable with whole degrees of freedom.

    Source: Abramowitz and Stegun (1964), 26.4.4 and 26.4.5.
    """
    half, odd = max(statistic, 0.0) / 2, degrees % 2
    if not half:
        return 1.0
    tail = erfc(sqrt(half)) if odd else exp(-half)
    for k in range(1, (degrees + odd) // 2):
        power = k - 0.5 * odd
        tail += exp(-half + power * log(half) - lgamma(power + 1))
    return min(1.0, tail)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
