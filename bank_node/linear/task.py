"""What a fit of a generalised linear model is given, where it stands on the way, and what it ends with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bank_node.family.fitted import Fitted
from bank_node.linear.glm_families import Family
from bank_node.linear.information_matrix import Curvature
from bank_node.linear.selection import Choice
from bank_node.linear.view import DesignView, OwnDesign
from bank_node.models.linear import LinearModel, together
from bank_node.models.offset import Offset, offset_units
from bank_node.settings.timing import Stopwatch
from protocol.algorithms.glm import UNIT, VALUE
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.runs import Label
from protocol.messages import F64, I64

Flags = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]
Choose = Callable[[F64, F64, Flags, float], Choice]


@dataclass(frozen=True)
class GlmTask:
    """One fit. label: the place of the fit in the job, of which all its labels are made. train: the rows fitted on,
    shape (n,).

    labels, weights: of all rows, shape (n,). scale: unit of the margin, 1 but for a linear model. choose: decides from
    information, slope, free columns and dispersion at the constant model which columns stay. offset: of the model, with
    its numbers over all rows, shape (n,). shared: partners have one order of rows. masks: of these partners (masks.py),
    by which they hide their scores in the sum; "" for none. subject: what the masks are agreed on for.
    """

    label: Label
    bank: str
    params: GlmParams
    labels: F64 = field(repr=False)
    weights: F64 = field(repr=False)
    train: Flags = field(repr=False)
    own: OwnDesign
    partners: tuple[DesignView, ...]
    progress: Progress = lambda done, total: None
    choose: Choose | None = None
    offset: tuple[Offset, F64] | None = field(default=None, repr=False)
    clock: Stopwatch = field(default_factory=Stopwatch)
    shared: bool = False
    masks: str = ""
    subject: str = ""

    @cached_property
    def rows(self) -> I64:
        """The rows fitted on."""
        return np.flatnonzero(self.train)

    @cached_property
    def scale(self) -> float:
        """Coefficients of a linear model are in standard deviations of the label, or six decimals might not do."""
        deviation = float(self.labels[self.train].std()) if self.params.family == "linear" else 1.0
        return deviation or 1.0

    @cached_property
    def family(self) -> Family:
        """The loss over the rows fitted on."""
        offset = None if self.offset is None else self.offsets[self.train] / UNIT
        return Family(self.params.family, self.labels[self.train] / self.scale, self.weights[self.train], offset)

    @cached_property
    def offsets(self) -> I64:
        """What is given of every row's score, in 1 / UNIT, shape (n,)."""
        if self.offset is None:
            return np.zeros(len(self.labels), dtype=np.int64)
        return offset_units(*self.offset, self.scale, self.bank)

    @cached_property
    def numbers(self) -> F64:
        """A one and the bank's columns, of the rows fitted on, shape (rows, 1 + d)."""
        return self.own.numbers(self.rows)

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

    @property
    def pooled(self) -> bool:
        """Whether a fit goes on from the sum of the partners' scores, so that masks change no bit of it."""
        return self.shared and len(self.partners) > 1

    def block(self, number: int) -> slice:
        """The coefficients of one partner, by its number."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def at(self, coefficients: I64, each: I64, released: bool = True) -> "At":
        """Where a fit stands whose partners' parts are known, shape (partners, n)."""
        own = self.own_part(coefficients)
        if self.pooled:
            return At(coefficients, np.stack((own, each.sum(axis=0))), released, each)
        return At(coefficients, np.concatenate((own[None], each)), released)

    def own_part(self, coefficients: I64) -> I64:
        """Intercept, offset and the bank's columns in every row's score, in 1 / UNIT, shape (n,)."""
        own = self.own.values.astype(np.int64) @ coefficients[1 : self.starts[0]]
        return np.asarray(coefficients[0] * VALUE + self.offsets + own)


@dataclass(frozen=True)
class At:
    """Where a fit stands. coefficients: in millionths, shape (p,).

    parts: of every row's score, in 1 / UNIT: the bank's, then each partner's, shape (1 + partners, n), or their sum,
    shape (2, n). released: they are partial scores for these very coefficients. each: every partner's, where parts has
    their sum and the bank knows them as well, shape (partners, n).
    """

    coefficients: I64
    parts: I64
    released: bool = True
    each: I64 | None = None

    @property
    def score(self) -> I64:
        """Of every row, in 1 / UNIT, shape (n,)."""
        return np.asarray(self.parts.sum(axis=0))

    @property
    def known(self) -> I64:
        """The bank's part and each partner's, or their sum where no more is known."""
        return self.parts if self.each is None else np.concatenate((self.parts[:1], self.each))

    def towards(self, other: "At", share: float) -> "At":
        """A point on the line to another."""
        coefficients = np.rint((other.coefficients - self.coefficients) * share).astype(np.int64)
        parts = np.rint((other.parts - self.parts) * share).astype(np.int64)
        return At(self.coefficients + coefficients, self.parts + parts, released=False)


@dataclass(frozen=True)
class Released:
    """One vector of partial scores, of one partner, or summed of several.

    coefficients: in millionths, decimals: to which each rounds, by partner. scores: of the row space, in 1 / UNIT.
    """

    coefficients: Mapping[str, tuple[int, ...]]
    decimals: Mapping[str, int]
    scores: I64 = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class FittedGlm(Fitted):
    """What a fit ends with.

    parts: of every row's score, the bank's and each partner's, in 1 / UNIT, shape
    (1 + partners, n), or (2, n) where masks hide all but the sum of the partners'. curvature: at the end, at_start: at
    the constant model; active: coefficients not left at 0 for being told by others. few: those of partners kept out, of
    whose columns fewer than their contracts ask for would have had a part, shape (p,). deviance: of the model, and of
    the constant one. steps: taken. released: in order.
    """

    model: LinearModel
    curvature: Curvature
    at_start: Curvature
    active: Flags
    few: Flags
    deviance: float
    null_deviance: float
    dispersion: float
    steps: int
    converged: bool
    parts: I64
    released: tuple[Released, ...]
    choice: Choice | None = None

    @property
    def summed(self) -> bool:
        """Whether the bank knows the sum of the partners' parts alone."""
        return len(self.parts) < len(self.model.parties)

    @property
    def told(self) -> dict[str, I64]:
        """The partners' parts, by partner, or their sum by the name of all `together`."""
        partners = self.model.parties[1:]
        return dict(zip([together(partners)] if self.summed else partners, self.parts[1:], strict=True))
