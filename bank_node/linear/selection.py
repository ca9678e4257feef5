"""Which columns a linear model keeps, decided from what its first step sums anyway: no further query is asked.

At the constant model the information matrix is the columns' covariance, up to a factor, and the slope is what each has
in common with the label. From these two follow correlations, variance inflation, the score test of a column given
others (forward), and the Wald test of one step (stepwise). Of the block between two partners nothing is known: their
columns count as having no more in common than the bank's columns explain, and no correlation is told.

Source: Rao, score test (1948); Efroymson, stepwise regression (1960).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import numpy.typing as npt

from bank_node.metrics.normal import two_sided
from protocol.job import Selection
from protocol.messages import F64, I64

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """All columns of a model but the intercept. party: number of each, 0 the bank's, shape (d,). least: columns that a
    partner's contract asks for, by its number. by_woe: they are weights of evidence, whose coefficients are below 0."""

    party: I64
    least: Sequence[int]
    by_woe: bool


@dataclass(frozen=True)
class Choice:
    """What became of each column, shape (d,). reasons: "" where it is kept, else which check it failed.

    correlation: the largest with another column kept, nan where none is known; beside: which one, -1 if none.
    inflation: of the variance of a kept column by the others, nan of one left out.
    """

    reasons: list[str]
    correlation: F64 = field(repr=False)
    beside: I64 = field(repr=False)
    inflation: F64 = field(repr=False)

    @property
    def kept(self) -> Flags:
        """Whether each is in the model."""
        return np.array([not reason for reason in self.reasons], dtype=bool)


def choose(matrix: F64, slope: F64, free: Flags, dispersion: float, columns: Columns, settings: Selection) -> Choice:
    """Apply all checks that are asked for.

    matrix, slope: information and slope at the constant model, intercept first, shapes (d + 1, d + 1) and (d + 1,).
    free: columns that those before them do not tell, shape (d,). dispersion: of the label there.
    """
    chooser = _Chooser(matrix, slope, columns, settings, dispersion)
    chooser.leave_out(np.flatnonzero(~free), "collinear")
    chooser.correlated()
    chooser.inflated()
    if settings.method != "none":
        chooser.stepwise()
    if settings.signs and columns.by_woe:
        chooser.signed()
    chooser.enough_of_each_partner()
    return chooser.choice()


class _Chooser:
    def __init__(self, matrix: F64, slope: F64, columns: Columns, settings: Selection, dispersion: float) -> None:
        first, edge = matrix[0, 0], matrix[0, 1:]
        self._matrix = (matrix[1:, 1:] - np.outer(edge, edge) / first) / dispersion
        self._slope = (slope[1:] - edge * slope[0] / first) / dispersion
        self._columns, self._settings = columns, settings
        size = np.maximum(np.diag(self._matrix), np.finfo(float).tiny)
        self._strength = self._slope**2 / size
        scale = np.where(np.diag(self._matrix) > 0, np.sqrt(size), np.inf)  # a constant column is like no other
        self._correlation = self._matrix / np.outer(scale, scale)
        party = columns.party
        self._known = (party[:, None] == party) | (party[:, None] == 0) | (party == 0)
        np.fill_diagonal(self._known, False)
        self._reasons = [""] * len(party)

    @property
    def _kept(self) -> list[int]:
        return [j for j, reason in enumerate(self._reasons) if not reason]

    def leave_out(self, places: Sequence[int] | I64, reason: str) -> None:
        """Say why columns are left out."""
        for j in places:
            self._reasons[int(j)] = reason

    def correlated(self) -> None:
        """From the strongest down, a column too like one that stays is left out."""
        stay: list[int] = []
        alike = self._known & (np.abs(self._correlation) > self._settings.max_correlation)
        for j in sorted(self._kept, key=lambda j: (-self._strength[j], j)):
            if alike[j, stay].any():
                self._reasons[j] = "correlation"
            else:
                stay.append(j)

    def inflated(self) -> None:
        """The column that the others tell most is left out, until none is told too much."""
        while self._settings.max_inflation and len(self._kept) > 1:
            kept = self._kept
            inflation = self._inflation(kept)
            worst = int(inflation.argmax())
            if inflation[worst] <= self._settings.max_inflation:
                break
            self._reasons[kept[worst]] = "inflation"

    def stepwise(self) -> None:
        """Forward: the column that adds most enters while it is significant. Stepwise: others may leave again."""
        offered = self._kept
        chosen: list[int] = []
        for _ in range(2 * len(offered)):
            gains = [(self._gain(j, chosen), -j) for j in offered if j not in chosen]
            gain, entering = max(gains, default=(0.0, 0))
            if two_sided(sqrt(gain)) >= self._settings.p_enter:
                break
            chosen.append(-entering)
            if self._settings.method == "stepwise" and self._drop_weakest(chosen) == -entering:
                break  # what has just entered leaves again: it would for ever
        self.leave_out([j for j in offered if j not in chosen], self._settings.method)

    def signed(self) -> None:
        """The column furthest on the wrong side of 0 is left out, until none is."""
        while True:
            kept = self._kept
            step, error = self._step(kept)
            if not len(kept) or (step <= 0).all():
                break
            self._reasons[kept[int((step / error).argmax())]] = "sign"

    def enough_of_each_partner(self) -> None:
        """A partner with some columns in the model has as many as its contract asks for: the strongest come back."""
        for party, least in enumerate(self._columns.least):
            mine = np.flatnonzero(self._columns.party == party)
            kept = [j for j in mine.tolist() if not self._reasons[j]]
            out = [j for j in mine.tolist() if self._reasons[j] and self._reasons[j] != "collinear"]
            if party and kept and len(kept) < least:
                for j in sorted(out, key=lambda j: (-self._strength[j], j))[: least - len(kept)]:
                    self._reasons[j] = ""

    def choice(self) -> Choice:
        kept, d = self._kept, len(self._reasons)
        inflation, correlation, beside = np.full(d, np.nan), np.full(d, np.nan), np.full(d, -1, dtype=np.int64)
        inflation[kept] = self._inflation(kept)
        for j in range(d):
            others = [k for k in kept if self._known[j, k]]
            if others:
                beside[j] = max(others, key=lambda k: (abs(self._correlation[j, k]), -k))
                correlation[j] = self._correlation[j, beside[j]]
        return Choice(self._reasons, correlation, beside, inflation)

    # -- figures -------------------------------------------------------------------------------------------------

    def _inverse(self, places: Sequence[int]) -> F64:
        part = self._matrix[np.ix_(places, places)]
        scale = 1.0 / np.sqrt(np.maximum(np.diag(part), np.finfo(float).tiny))
        scaled = np.linalg.pinv(part * np.outer(scale, scale), rcond=1e-12, hermitian=True)
        return np.asarray(scaled * np.outer(scale, scale))

    def _inflation(self, places: Sequence[int]) -> F64:
        return np.asarray(np.diag(self._inverse(places)) * np.diag(self._matrix)[places])

    def _step(self, places: Sequence[int]) -> tuple[F64, F64]:
        """Coefficients of one step from the constant model, and their standard errors."""
        inverse = self._inverse(places)
        return inverse @ self._slope[places], np.sqrt(np.diag(inverse))

    def _gain(self, j: int, given: Sequence[int]) -> float:
        """Score statistic of a column, given others: chi-square of one degree of freedom."""
        edge = self._matrix[j, given]
        told = self._inverse(given) @ edge if given else edge
        left = self._matrix[j, j] - edge @ told
        if left <= 1e-6 * self._matrix[j, j]:
            return 0.0
        return float((self._slope[j] - told @ self._slope[given]) ** 2 / left)

    def _drop_weakest(self, chosen: list[int]) -> int | None:
        """Take out the column that is least significant beside the others, if it is not significant at all."""
        step, error = self._step(chosen)
        weakest = int(np.abs(step / error).argmin())
        if two_sided(abs(float(step[weakest] / error[weakest]))) <= self._settings.p_remove:
            return None
        return chosen.pop(weakest)
