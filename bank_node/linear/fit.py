"""The bank's half of generalised linear models: a script that fits by iteratively reweighted least squares.

Read it from `fit_glm` downwards: a fit is steps; a step is one exchange for gradient and curvature, a system of linear
equations at the bank, and one exchange for the partners' part of the scores. The first exchange is in sums.py, the
second in partial_scores.py, the equations in steps.py, and what a fit is given and ends with in task.py.

With one partner the system is the whole Newton step. The block between two partners would be a product of two private
columns; in its place stands what follows if the two have nothing in common but the bank's columns. The gradient is
exact, so that the fixed point is the same; what each step shows of the block is used in the next (BFGS, Nocedal and
Wright, Numerical Optimization (2006), ch. 6.1).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from bank_node.linear.information_matrix import Curvature, independent, varying
from bank_node.linear.partial_scores import Scores
from bank_node.linear.selection import Choice
from bank_node.linear.steps import FAR, Steps
from bank_node.linear.sums import Sums
from bank_node.linear.task import At, FittedGlm, GlmTask
from bank_node.models.linear import LinearModel
from protocol.algorithms.boosting import Kept
from protocol.algorithms.glm import COEFFICIENT, MOST_DECIMALS, UNIT, KeepTerms
from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.role import Script, ask

_STALE: Final = 0.1
"""Steps of fewer standard errors than this leave the curvature as good as it was."""
_COARSE: Final = 2
"""Steps of more standard errors than this make do with scores of fewer decimals, which tell less of a row."""
_UNSETTLED: Final = 2.0
"""Rounding to d decimals moves the steps by a few 10^-d of a standard error: those below this many end the fit."""
_HALVINGS: Final = 12


def fit_glm(task: GlmTask) -> Script[FittedGlm]:
    """Fit one model.

    Raises:
        DataError: the label is told without error; a coefficient grows without bound.
        IntegrityError: partial scores that cannot be.
        RefusedError: a partner's budget is spent.
    """
    fit = _Fit(task)
    at = fit.start()
    curvature, size, converged = None, np.inf, False
    for number in range(task.params.max_iter + 1):
        fresh = curvature is None or size > _STALE
        gradient, found = yield from fit.sums.at(fit.eta(at), replace(task.label, tree=number), fresh)
        curvature = found or curvature
        assert curvature is not None
        if number == 0:
            fit.begin(curvature, gradient)
        step, size = fit.steps.next(curvature, gradient, at, fit.eta(at))
        task.progress(number, task.params.max_iter)
        converged = size <= fit.steps.tolerance
        if converged or number == task.params.max_iter:
            break
        at = yield from fit.advance(at, step, _COARSE if size > FAR else MOST_DECIMALS)
    if not at.released:
        at = yield from fit.scores.release(at.coefficients, MOST_DECIMALS)
    if not found:
        _, curvature = yield from fit.sums.at(fit.eta(at), replace(task.label, tree=number, round=1), True)
    assert curvature is not None
    return (yield from fit.finish(at, curvature, number, converged))


@dataclass
class _Fit:
    """One fit under way."""

    task: GlmTask
    choice: Choice | None = None

    def __post_init__(self) -> None:
        task = self.task
        self.family, self.rows = task.family, task.rows
        self.sums, self.scores = Sums(task), Scores(task)
        self.steps = Steps(task, np.ones(int(task.starts[-1]), dtype=bool), task.params.tol)
        self.decimals = MOST_DECIMALS  # of the scores at hand

    def start(self) -> At:
        """The constant model."""
        coefficients = np.zeros(int(self.task.starts[-1]), dtype=np.int64)
        coefficients[0] = round(self.family.base() * COEFFICIENT)
        each = np.zeros((len(self.task.partners), len(self.task.labels)), dtype=np.int64)
        return self.task.at(coefficients, each)

    def begin(self, curvature: Curvature, gradient: F64) -> None:
        """What the first sums tell: which columns others tell already, or are not chosen; how fine steps can be."""
        self.at_start, steps = curvature, self.steps
        steps.active = (varying if self.task.params.penalised else independent)(curvature.joint)
        if self.task.choose is not None:
            dispersion = self.family.dispersion(self.family.constant(), 1)
            self.choice = self.task.choose(curvature.joint, gradient, steps.active[1:], dispersion)
            steps.active[1:] &= self.choice.kept
        steps.keep_out_the_few()
        if self.task.partners:
            finest = min(view.decimals for view in self.task.partners)
            steps.tolerance = max(self.task.params.tol, min(_STALE, _UNSETTLED * 10.0**-finest))

    def eta(self, at: At) -> F64:
        """The linear predictor of the rows fitted on."""
        return np.asarray(at.score[self.rows] / UNIT)

    def loss(self, at: At) -> float:
        """Minus the penalised log-likelihood."""
        values = at.coefficients[1:] / COEFFICIENT
        params = self.task.params
        penalty = 0.5 * params.reg_lambda * float(values @ values)
        penalty += params.reg_alpha / self.task.scale * float(np.abs(values).sum())
        return self.family.loss(self.eta(at)) + penalty

    def advance(self, at: At, step: F64, decimals: int) -> Script[At]:
        """Go the step; back on the same line while the likelihood does not rise. Scores are linear in coefficients, so
        that what lies between two releases is known from both."""
        new = yield from self.scores.release(at.coefficients + np.rint(step * COEFFICIENT).astype(np.int64), decimals)
        bound = self.loss(at) + self._slack(at, min(decimals, self.decimals))
        self.decimals = decimals
        ahead = new
        for halving in range(1, _HALVINGS + 1):
            if self.steps.forced or self.loss(new) <= bound:
                break
            new = at.towards(ahead, 0.5**halving)
        if not self.task.params.penalised and self.family.separated(self.eta(new)):
            raise DataError(
                self.task.bank, "its label is told without error by the columns of a glm, whose fit then has no end",
                "leave out the column that gives the label away, or set reg_lambda or reg_alpha",
            )  # fmt: skip
        return new

    def _slack(self, at: At, decimals: int) -> float:
        """By how much rounded scores may make the loss seem to rise."""
        coarsest = min((min(decimals, view.decimals) for view in self.task.partners), default=MOST_DECIMALS)
        noise = 10.0**-coarsest * float(np.sqrt((self.family.residual(self.eta(at)) ** 2).sum()))
        return 2.0 * noise + 1e-9 * abs(self.loss(at))

    def finish(self, at: At, curvature: Curvature, steps: int, converged: bool) -> Script[FittedGlm]:
        """Hand the model to the partners that shall score it."""
        task = self.task
        model = self._model(at.coefficients)
        keep = {
            view.name: KeepTerms(
                design=view.design,
                values=tuple(at.coefficients[task.block(k)].tolist()),
                group=task.masks,
            )
            for k, view in enumerate(task.partners)
        }
        kept = yield from ask(keep, Kept)
        eta, few = self.eta(at), self.steps.few(at.coefficients)
        return FittedGlm(
            model=model,
            margin=model.margin(at.score),
            curvature=curvature,
            at_start=self.at_start,
            active=self.steps.active & ~few,
            few=few,
            deviance=self.family.deviance(eta),
            null_deviance=self.family.deviance(self.family.constant()),
            dispersion=self.family.dispersion(eta, int((self.steps.active & ~few).sum())),
            steps=steps,
            converged=converged,
            queries=self.sums.queries if task.partners else 0,
            parts=at.known,
            kept=kept,
            released=tuple(self.scores.released),
            choice=self.choice,
        )

    def _model(self, coefficients: I64) -> LinearModel:
        task, numbers = self.task, coefficients.tolist()
        own = zip(task.own.terms, numbers[1 : task.starts[0]], strict=True)
        theirs = (view.terms(numbers[task.block(k)]) for k, view in enumerate(task.partners))
        return LinearModel(
            objective=task.params.objective,
            parties=(task.bank, *(view.name for view in task.partners)),
            intercept=numbers[0],
            scale=task.scale,
            decimals={view.name: view.decimals for view in task.partners},
            own=tuple(replace(term, coefficient=coefficient) for term, coefficient in own),
            theirs=tuple(term for terms in theirs for term in terms),
            offset=UNSET if task.offset is None else task.offset[0],
        )
