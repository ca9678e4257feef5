"""The steps of a fit: what the bank makes of gradient and curvature, and of the penalties.

Without an L1 penalty it is the Newton step. With one it is the step to the quadratic model's minimum (elastic.py),
which sets coefficients to 0 exactly. Of two partners the block between them is learnt from the steps taken (BFGS).

A partner of whose columns a step would leave fewer than its contract asks for, but not none, has all of them held at 0
in this step, and from the second time on for good: its partial scores would show single columns, and it would refuse
them.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.linear.coordinate_descent import penalised_minimum
from bank_node.linear.information_matrix import Curvature
from bank_node.linear.task import At, GlmTask
from protocol.algorithms.glm import COEFFICIENT
from protocol.messages import F64, I64

Flags = npt.NDArray[np.bool_]
FAR: Final = 1.0
"""A step of more standard errors changes the weights, and with them the curvature."""
_PATIENCE: Final = 2
"""Steps after which a partner with too few columns stays out."""


@dataclass
class Steps:
    """What the steps of one fit go by. active: coefficients that may be other than 0, shape (p,).

    learnt: steps taken, and by how much the slope fell. before: coefficients, slope and size of the last step. held: by
    partner's number, how often its columns were held at 0. forced: the last step takes a partner out, for which the
    penalised likelihood may fall.
    """

    task: GlmTask
    active: Flags
    tolerance: float
    learnt: list[tuple[F64, F64]] = field(default_factory=list)
    before: tuple[I64, F64, float] | None = None
    held: dict[int, int] = field(default_factory=dict)
    forced: bool = False

    def next(self, curvature: Curvature, gradient: F64, at: At, eta: F64) -> tuple[F64, float]:
        """The step, shape (p,), and its largest entry in standard errors. eta: of the rows fitted on."""
        task, now = self.task, at.coefficients / COEFFICIENT
        penalty = self.penalty()
        slope = gradient - penalty * now
        self._learn(at, slope)
        step = np.zeros_like(slope)
        step[self.active] = self._move(curvature, slope, now)
        moved = self._moved(now, step) if task.params.reg_alpha else self.active
        dispersion = task.family.dispersion(eta, int(self.active.sum()))
        errors = np.sqrt(np.diag(curvature.inverse(moved, penalty)) * dispersion)
        size = float(np.abs(step[moved] / errors).max())
        self.before = at.coefficients, slope, size
        return step, size

    def penalty(self) -> F64:
        """The L2 penalty of each coefficient; none of the intercept."""
        penalty = np.full(len(self.active), self.task.params.reg_lambda)
        penalty[0] = 0.0
        return penalty

    def keep_out_the_few(self) -> None:
        """Leave out all columns of a partner of which too few are active."""
        for number, view in enumerate(self.task.partners):
            block = self.task.block(number)
            if view.too_few(self.active[block].astype(np.float64)):
                self.held[number] = _PATIENCE
                self.active[block] = False

    def few(self, coefficients: I64) -> Flags:
        """Coefficients of partners that are kept out because too few of their columns would have a part, shape (p,)."""
        out = np.zeros(len(self.active), dtype=bool)
        for number in self.held:
            block = self.task.block(number)
            out[block] = not coefficients[block].any()
        return out

    def _move(self, curvature: Curvature, slope: F64, now: F64) -> F64:
        """To where the quadratic model is least while no partner has too few columns, of the active coefficients."""
        self.forced, out = False, np.zeros(len(self.active), dtype=bool)
        for number, times in self.held.items():
            out[self.task.block(number)] = times >= _PATIENCE
        while True:
            move, there = self._to_minimum(curvature, slope, now, out), np.zeros(len(self.active))
            there[self.active] = now[self.active] + move
            few = [k for k, view in enumerate(self.task.partners) if view.too_few(there[self.task.block(k)])]
            if not few:
                return move
            for number in few:
                self.held[number] = self.held.get(number, 0) + 1
                self.forced = True
                out[self.task.block(number)] = True

    def _to_minimum(self, curvature: Curvature, slope: F64, now: F64, out: Flags) -> F64:
        """The same, with these coefficients held at 0."""
        active, params = self.active, self.task.params
        slope, now = slope[active], now[active]
        if not params.reg_alpha and not out.any():
            return np.asarray(curvature.inverse(active, self.penalty(), self.learnt) @ slope)
        matrix = curvature.penalised(active, self.penalty(), self.learnt)
        threshold = np.full(len(active), params.reg_alpha / self.task.scale)
        threshold[0] = 0.0
        threshold[out] = np.inf
        return penalised_minimum(matrix, slope, now, threshold[active]) - now

    def _moved(self, now: F64, step: F64) -> Flags:
        """The intercept, and the coefficients that are not 0 before or after the step."""
        moved = (now != 0) | (now + step != 0)
        moved[0] = True
        return np.asarray(moved & self.active)

    def _learn(self, at: At, slope: F64) -> None:
        """What the last step did to the slope tells of the block between two partners; steps that rounding spoils, or
        that change the weights, do not."""
        if len(self.task.partners) < 2 or self.before is None:
            return
        coefficients, slope_before, size = self.before
        if self.tolerance < size <= FAR:
            gone = (at.coefficients - coefficients) / COEFFICIENT
            self.learnt.append((gone[self.active], (slope_before - slope)[self.active]))
