"""The bank's half of generalised linear models: a script that fits by iteratively reweighted least squares.

Read it from `fit_glm` downwards: a fit is steps; a step is one exchange for gradient and curvature, a system of linear
equations at the bank, and one exchange for the partners' part of the scores.

With one partner the system is the whole Newton step. The block between two partners would be a product of two private
columns; in its place stands what follows if the two have nothing in common but the bank's columns. The gradient is
exact, so that the fixed point is the same; what each step shows of the block is used in the next (BFGS, Nocedal and
Wright, Numerical Optimization (2006), ch. 6.1).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from bank_node.algorithms.curvature import Curvature, independent
from bank_node.algorithms.families import Family
from bank_node.algorithms.glm_view import DesignView, OwnDesign
from bank_node.algorithms.selection import Choice
from bank_node.models.linear import LinearModel
from bank_node.timing import Stopwatch
from protocol.algorithms.boosting import Kept
from protocol.algorithms.glm import (
    COEFFICIENT,
    LARGEST_COEFFICIENT,
    MOST_DECIMALS,
    UNIT,
    VALUE,
    Coefficients,
    CrossQuery,
    CrossSums,
    KeepTerms,
    PartialScores,
    product_rows,
    squared,
    vectors_a_query,
)
from protocol.algorithms.glm_parameters import GlmParams
from protocol.errors import DataError, IntegrityError
from protocol.he.base import MAX_VALUE
from protocol.he.integers import SealedIntegers
from protocol.messages import F64, I64
from protocol.role import Script, ask

Flags = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]
Choose = Callable[[F64, F64, Flags, float], Choice]
_ROOM_LOG2: Final = 36
"""Vectors are scaled to a sum of absolute values below 2^36: sums of products of columns then stay below 2^60."""
_FINEST: Final = 40
_STALE: Final = 0.1
"""Steps of fewer standard errors than this leave the curvature as good as it was."""
_FAR: Final = 1.0
_COARSE: Final = 2
"""Steps of more standard errors than this make do with scores of fewer decimals, which tell less of a row."""
_UNSETTLED: Final = 5.0
"""Rounding to d decimals moves the steps by a few 10^-d of a standard error: those below this many end the fit."""
_HALVINGS: Final = 12
_POOL: Final = ThreadPoolExecutor(4, thread_name_prefix="seal")


@dataclass(frozen=True)
class GlmTask:
    """One fit. label: "job/rung/model/fold", the prefix of all query labels. train: the rows fitted on, shape (n,).

    labels, weights: of all rows, shape (n,). scale: unit of the margin, 1 but for a linear model. choose: decides from
    information, slope, free columns and dispersion at the constant model which columns stay.
    """

    label: str
    bank: str
    params: GlmParams
    labels: F64 = field(repr=False)
    weights: F64 = field(repr=False)
    train: Flags = field(repr=False)
    own: OwnDesign
    partners: tuple[DesignView, ...]
    progress: Progress = lambda done, total: None
    choose: Choose | None = None
    clock: Stopwatch = field(default_factory=Stopwatch)

    @property
    def rows(self) -> I64:
        """The rows fitted on."""
        return np.flatnonzero(self.train)

    @property
    def scale(self) -> float:
        """Coefficients of a linear model are in standard deviations of the label, or six decimals might not do."""
        deviation = float(self.labels[self.train].std()) if self.params.family == "linear" else 1.0
        return deviation or 1.0

    @property
    def family(self) -> Family:
        """The loss over the rows fitted on."""
        return Family(self.params.family, self.labels[self.train] / self.scale, self.weights[self.train])

    @property
    def starts(self) -> I64:
        """Where intercept and bank end, and each partner's coefficients, among all: shape (1 + partners,)."""
        sizes = [1 + len(self.own.terms), *(view.size for view in self.partners)]
        return np.cumsum(sizes, dtype=np.int64)

    @property
    def parties(self) -> I64:
        """Whose each column is, without the intercept: 0 the bank's, then each partner's number, shape (p - 1,)."""
        sizes = [len(self.own.terms), *(view.size for view in self.partners)]
        return np.repeat(np.arange(len(sizes)), sizes)

    def block(self, number: int) -> slice:
        """The coefficients of one partner, by its number."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))


@dataclass(frozen=True)
class _At:
    """Where a fit stands. coefficients: in millionths, shape (p,).

    parts: of every row's score, in 1 / UNIT: the bank's, then each partner's, shape (1 + partners, n).
    released: they are partial scores for these very coefficients.
    """

    coefficients: I64
    parts: I64
    released: bool = True

    @property
    def score(self) -> I64:
        """Of every row, in 1 / UNIT, shape (n,)."""
        return np.asarray(self.parts.sum(axis=0))

    def towards(self, other: "_At", share: float) -> "_At":
        """A point on the line to another."""
        coefficients = np.rint((other.coefficients - self.coefficients) * share).astype(np.int64)
        parts = np.rint((other.parts - self.parts) * share).astype(np.int64)
        return _At(self.coefficients + coefficients, self.parts + parts, released=False)


@dataclass(frozen=True)
class Released:
    """One vector of partial scores. coefficients: in millionths. scores: of the row space, in 10^-decimals."""

    coefficients: tuple[int, ...]
    decimals: int
    scores: I64 = field(repr=False)


@dataclass(frozen=True)
class FittedGlm:
    """What a fit ends with.

    margin: of every row, shape (n,). parts: of every row's score, the bank's and each partner's, in 1 / UNIT, shape
    (1 + partners, n). curvature: at the end, at_start: at the constant model; active: coefficients not left at 0 for
    being told by others. deviance: of the model, and of the constant one. steps: taken. released: by each
    partner. queries: vectors sent to each.
    """

    model: LinearModel
    margin: F64
    curvature: Curvature
    at_start: Curvature
    active: Flags
    deviance: float
    null_deviance: float
    dispersion: float
    steps: int
    converged: bool
    queries: int
    parts: I64
    kept: Mapping[str, Kept]
    released: Mapping[str, tuple[Released, ...]]
    choice: Choice | None = None


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
        gradient, found = yield from fit.sums(at, f"{number}", fresh)
        curvature = found or curvature
        assert curvature is not None
        if number == 0:
            fit.begin(curvature, gradient)
        step, size = fit.step(curvature, gradient, at)
        task.progress(number, task.params.max_iter)
        converged = size <= fit.tolerance
        if converged or number == task.params.max_iter:
            break
        at = yield from fit.advance(at, step, _COARSE if size > _FAR else MOST_DECIMALS)
    if not at.released:
        at = yield from fit.release(at.coefficients, MOST_DECIMALS)
    if not found:
        _, curvature = yield from fit.sums(at, "end", True)
    assert curvature is not None
    return (yield from fit.finish(at, curvature, number, converged))


@dataclass
class _Fit:
    """One fit under way. learnt: steps taken, and by how much the slope fell. before: coefficients, slope and size of
    the last step."""

    task: GlmTask
    queries: int = 0
    released: dict[str, list[Released]] = field(default_factory=dict)
    learnt: list[tuple[F64, F64]] = field(default_factory=list)
    before: tuple[I64, F64, float] | None = None
    choice: Choice | None = None

    def __post_init__(self) -> None:
        task = self.task
        self.family, self.rows = task.family, task.rows
        self.own = task.own.numbers(self.rows)
        self.released = {view.name: [] for view in task.partners}
        self.active = np.ones(int(task.starts[-1]), dtype=bool)
        self.tolerance, self.decimals = task.params.tol, MOST_DECIMALS  # of the scores at hand

    # -- where it stands -----------------------------------------------------------------------------------------

    def start(self) -> _At:
        """The constant model."""
        coefficients = np.zeros(int(self.task.starts[-1]), dtype=np.int64)
        coefficients[0] = round(self.family.base() * COEFFICIENT)
        parts = np.zeros((1 + len(self.task.partners), len(self.task.labels)), dtype=np.int64)
        parts[0] = coefficients[0] * VALUE
        return _At(coefficients, parts)

    def begin(self, curvature: Curvature, gradient: F64) -> None:
        """What the first sums tell: which columns others tell already, or are not chosen; how fine steps can be."""
        self.at_start = curvature
        if not self.task.params.reg_lambda:
            self.active = independent(curvature.joint)
        if self.task.choose is not None:
            base = np.full(len(self.rows), self.family.base())
            dispersion = self.family.dispersion(base, 1)
            self.choice = self.task.choose(curvature.joint, gradient, self.active[1:], dispersion)
            self.active[1:] &= self.choice.kept
        if self.task.partners:
            finest = min(view.decimals for view in self.task.partners)
            self.tolerance = max(self.task.params.tol, min(_STALE, _UNSETTLED * 10.0**-finest))

    def eta(self, at: _At) -> F64:
        """The linear predictor of the rows fitted on."""
        return np.asarray(at.score[self.rows] / UNIT)

    def loss(self, at: _At) -> float:
        """Minus the penalised log-likelihood."""
        values = at.coefficients[1:] / COEFFICIENT
        return self.family.loss(self.eta(at)) + 0.5 * self.task.params.reg_lambda * float(values @ values)

    # -- gradient and curvature ----------------------------------------------------------------------------------

    def sums(self, at: _At, name: str, fresh: bool) -> Script[tuple[F64, Curvature | None]]:
        """The gradient, and if asked the curvature, over all parties' columns."""
        eta = self.eta(at)
        residual, weight = self.family.residual(eta), self.family.weight(eta)
        with self.task.clock("histogram"):
            gradient = np.zeros(len(self.active))
            gradient[: self.own.shape[1]] = self.own.T @ residual
            weighted = self.own * weight[:, None]
            blocks = Curvature(self.task.starts, self.own.T @ weighted) if fresh else None
        asked = yield from self._ask(name, residual, weighted if fresh else None)
        for number, view in enumerate(self.task.partners):
            block = self.task.block(number)
            sums, products = asked[view.name]
            there = view.positions[self.rows] >= 0
            constant = view.not_held / VALUE
            gradient[block] = sums[0] + constant * residual[~there].sum()
            if blocks is not None:
                outside = weighted[~there].sum(axis=0)
                blocks.enter(
                    number, sums[1:] + np.outer(outside, constant), products + np.outer(constant, constant) * outside[0]
                )
        return gradient, blocks

    def _ask(self, name: str, residual: F64, weighted: F64 | None) -> Script[dict[str, tuple[F64, F64]]]:
        """By partner: sums over its columns of the residual and of each weighted own column, and its own curvature."""
        vectors = residual[None] if weighted is None else np.concatenate((residual[None], weighted[:, 1:].T))
        whole, units = _as_integers(vectors)
        weight, unit = _as_integers(vectors[:0] if weighted is None else weighted[:, :1].T)
        found = []
        batch = min((vectors_a_query(view.rows) for view in self.task.partners), default=len(whole))
        for first in range(0, len(whole), batch):
            weights = weight[:0] if first else weight
            found.append((yield from self._exchange(name, first, whole[first : first + batch], weights, (units, unit))))
        return {
            view.name: (np.concatenate([one[view.name][0] for one in found]), found[0][view.name][1])
            for view in self.task.partners
        }

    def _exchange(
        self, name: str, first: int, whole: I64, weight: I64, units: tuple[float, float]
    ) -> Script[dict[str, tuple[F64, F64]]]:
        """Some of the vectors of a step, from number `first` on, and the weight with the first ones."""
        prefix = f"{self.task.label}/{name}"
        labels = [f"{prefix}/{first + k}" for k in range(len(whole))]
        with self.task.clock("encrypt"):
            sealed = self._each(
                lambda view: (
                    view.kit.seal(view.spread(self.rows, whole), [f"{x}/{view.name}" for x in labels], MAX_VALUE),
                    view.kit.seal(view.spread(self.rows, weight), [f"{prefix}/w/{view.name}"]) if len(weight) else None,
                )
            )
        queries = {view.name: _query(view, prefix, labels, *sealed[view.name]) for view in self.task.partners}
        with self.task.clock("network"):
            replies = yield from ask(queries, CrossSums)
        self.queries += len(whole) + len(weight)
        with self.task.clock("decrypt"):
            return {
                view.name: _opened(view, *sealed[view.name], replies[view.name], *units) for view in self.task.partners
            }

    def _each(
        self, work: Callable[[DesignView], tuple[SealedIntegers, SealedIntegers | None]]
    ) -> dict[str, tuple[SealedIntegers, SealedIntegers | None]]:
        """Do the same for all partners, at once."""
        return dict(zip((v.name for v in self.task.partners), _POOL.map(work, self.task.partners), strict=True))

    # -- steps ---------------------------------------------------------------------------------------------------

    def step(self, curvature: Curvature, gradient: F64, at: _At) -> tuple[F64, float]:
        """The Newton step, shape (p,), and its largest entry in standard errors."""
        penalty = self._penalty()
        slope = gradient - penalty * at.coefficients / COEFFICIENT
        self._learn(at, slope)
        inverse = curvature.inverse(self.active, penalty)
        step = np.zeros_like(slope)
        step[self.active] = curvature.inverse(self.active, penalty, self.learnt) @ slope[self.active]
        errors = np.sqrt(np.diag(inverse) * self.family.dispersion(self.eta(at), int(self.active.sum())))
        size = float(np.abs(step[self.active] / errors).max())
        self.before = at.coefficients, slope, size
        return step, size

    def _learn(self, at: _At, slope: F64) -> None:
        """What the last step did to the slope tells of the block between two partners; steps that rounding spoils, or
        that change the weights, do not."""
        if len(self.task.partners) < 2 or self.before is None:
            return
        coefficients, slope_before, size = self.before
        if self.tolerance < size <= _FAR:
            gone = (at.coefficients - coefficients) / COEFFICIENT
            self.learnt.append((gone[self.active], (slope_before - slope)[self.active]))

    def _penalty(self) -> F64:
        """The L2 penalty of each coefficient; none of the intercept."""
        penalty = np.full(len(self.active), self.task.params.reg_lambda)
        penalty[0] = 0.0
        return penalty

    def advance(self, at: _At, step: F64, decimals: int) -> Script[_At]:
        """Go the step; back on the same line while the likelihood does not rise. Scores are linear in coefficients, so
        that what lies between two releases is known from both."""
        new = yield from self.release(at.coefficients + np.rint(step * COEFFICIENT).astype(np.int64), decimals)
        bound = self.loss(at) + self._slack(at, min(decimals, self.decimals))
        self.decimals = decimals
        ahead = new
        for halving in range(1, _HALVINGS + 1):
            if self.loss(new) <= bound:
                break
            new = at.towards(ahead, 0.5**halving)
        if not self.task.params.reg_lambda and self.family.separated(self.eta(new)):
            raise DataError(
                self.task.bank, "its label is told without error by the columns of a glm, whose fit then has no end",
                "leave out the column that gives the label away, or set reg_lambda",
            )  # fmt: skip
        return new

    def _slack(self, at: _At, decimals: int) -> float:
        """By how much rounded scores may make the loss seem to rise."""
        coarsest = min((min(decimals, view.decimals) for view in self.task.partners), default=MOST_DECIMALS)
        noise = 10.0**-coarsest * float(np.sqrt((self.family.residual(self.eta(at)) ** 2).sum()))
        return 2.0 * noise + 1e-9 * abs(self.loss(at))

    def release(self, coefficients: I64, decimals: int) -> Script[_At]:
        """The scores of all rows by these coefficients: each partner adds up its part, and rounds it.

        decimals: at most; fewer than a partner's contract admits make no score that a model could end with.
        """
        task = self.task
        if int(np.abs(coefficients).max()) > LARGEST_COEFFICIENT:
            raise DataError(
                task.bank, "a coefficient of a glm grows without bound: its column tells some labels without error",
                "leave out that column, or set reg_lambda",
            )  # fmt: skip
        parts = [coefficients[0] * VALUE + task.own.values.astype(np.int64) @ coefficients[1 : task.starts[0]]]
        asked = {}
        for number, view in enumerate(task.partners):
            values = tuple(coefficients[task.block(number)].tolist())
            asked[view.name] = Coefficients(design=view.design, values=values, decimals=min(decimals, view.decimals))
        with task.clock("network"):
            replies = yield from ask(asked, PartialScores)
        for view in task.partners:
            sent, reply = asked[view.name], replies[view.name]
            parts.append(partner_score(view, sent, reply))
            self.released[view.name].append(Released(sent.values, sent.decimals, reply.scores))
        final = all(view.decimals <= decimals for view in task.partners)
        return _At(coefficients, np.stack(parts), released=final)

    # -- the end -------------------------------------------------------------------------------------------------

    def finish(self, at: _At, curvature: Curvature, steps: int, converged: bool) -> Script[FittedGlm]:
        """Hand the model to the partners that shall score it."""
        task = self.task
        model = self._model(at.coefficients)
        keep = {
            view.name: KeepTerms(
                design=view.design, model=model.sha256, values=tuple(at.coefficients[task.block(k)].tolist())
            )
            for k, view in enumerate(task.partners)
        }
        kept = yield from ask(keep, Kept)
        eta = self.eta(at)
        return FittedGlm(
            model=model,
            margin=model.margin(at.score),
            curvature=curvature,
            at_start=self.at_start,
            active=self.active,
            deviance=self.family.deviance(eta),
            null_deviance=self.family.deviance(np.full(len(eta), self.family.base())),
            dispersion=self.family.dispersion(eta, int(self.active.sum())),
            steps=steps,
            converged=converged,
            queries=self.queries if task.partners else 0,
            parts=at.parts,
            kept=kept,
            released={name: tuple(values) for name, values in self.released.items()},
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
        )


def partner_score(view: DesignView, sent: Coefficients, reply: PartialScores) -> I64:
    """The partner's part of every row's score, in 1 / UNIT, shape (n,); of a row not held what stands for it.

    Raises: IntegrityError: other decimals or rows than agreed, or scores that the coefficients cannot give.
    """
    step = 10 ** (MOST_DECIMALS - sent.decimals)
    largest = sum(abs(b) for b in sent.values) * MAX_VALUE // step + 1
    plausible = reply.scores.shape == (view.rows,) and int(np.abs(reply.scores).max(initial=0)) <= largest
    if reply.decimals != sent.decimals or not plausible:
        raise IntegrityError(view.name, "sent partial scores that cannot be", "do not use this partner's answers")
    absent = sum(b * n for b, n in zip(sent.values, view.not_held.tolist(), strict=True))
    return np.asarray(np.where(view.positions >= 0, reply.scores[view.positions] * step, absent), dtype=np.int64)


def _as_integers(vectors: F64) -> tuple[I64, float]:
    """Vectors in whole units, shape as they, and the unit: the finest power of two that leaves sums their room."""
    total = float(np.abs(vectors).sum(axis=1).max(initial=0.0))
    log2 = _FINEST if total == 0 else min(_FINEST, int(np.floor(_ROOM_LOG2 - np.log2(total))))
    return np.rint(vectors * 2.0**log2).astype(np.int64), 2.0**-log2


def _query(
    view: DesignView, prefix: str, labels: Sequence[str], sealed: SealedIntegers, weight: SealedIntegers | None
) -> CrossQuery:
    return CrossQuery(
        design=view.design,
        labels=tuple(f"{label}/{view.name}" for label in labels),
        body=sealed.body,
        weight_label=f"{prefix}/w/{view.name}" if weight else "",
        weight=weight.body if weight else None,
    )


def _opened(
    view: DesignView, sealed: SealedIntegers, weight: SealedIntegers | None, reply: CrossSums, units: float, unit: float
) -> tuple[F64, F64]:
    """Sums of residual, weight and weighted columns, shape (B, d), and of products, shape (d, d), in true units."""
    count = view.size
    sums = view.kit.open(sealed, np.arange(count), reply.columns) * (units / VALUE)
    if weight is None:
        return np.asarray(sums), np.zeros((count, count))
    both = view.kit.open(weight, np.arange(len(product_rows(count))), reply.weight)[0] * unit
    all_sums = np.concatenate((sums[:1], both[None, :count] / VALUE, sums[1:]))
    return np.asarray(all_sums), squared(both[count:] / VALUE**2, count)
