"""The information matrix of a fit over several parties' columns, and what is read off it: steps, errors, collinearity.

Of the block between two partners' columns A and B nothing is known. In its place stands A0 (00)^-1 0B, where 0 are the
bank's columns: what it would be if A and B had nothing in common but those. The matrix so completed is positive
definite wherever the true one is, and of all such matrices that with the largest determinant.

Source: Dempster, Covariance Selection, Biometrics 28 (1972).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.messages import F64, I64

Flags = npt.NDArray[np.bool_]
_SMALLEST: Final = 1e-6
"""A column of which the others leave less than this share untold is collinear: its variance inflation is a million."""

_ROUNDING: Final = 1e-4
"""Of a matrix with ones on its diagonal: far more than the rounding of weights to whole numbers moves an eigenvalue."""
_TINY: Final = 1e-12


@dataclass
class Curvature:
    """X'WX by blocks. starts: where the bank's coefficients end, and each partner's. own: the bank's block.

    cross: by partner, its block with the bank, shape (own, d). alone: its own, shape (d, d).
    """

    starts: I64
    own: F64
    cross: dict[int, F64] = field(default_factory=dict)
    alone: dict[int, F64] = field(default_factory=dict)

    def enter(self, number: int, cross: F64, alone: F64) -> None:
        """What one partner's sums tell."""
        self.cross[number], self.alone[number] = cross, alone

    def possible(self, number: int) -> bool:
        """Whether the blocks of one partner are of columns at all: X'WX has no eigenvalue below 0, but for rounding."""
        cross, alone = self.cross[number], self.alone[number]
        both = np.block([[self.own, cross], [cross.T, alone]])
        if not np.isfinite(both).all():
            return False
        scale = 1.0 / np.sqrt(np.maximum(np.diag(both), _TINY * np.abs(both).max(initial=1.0)))
        return bool(np.linalg.eigvalsh(both * np.outer(scale, scale)).min(initial=0.0) >= -_ROUNDING)

    @property
    def complete(self) -> bool:
        """Whether all blocks are known: there is one partner at most."""
        return len(self.cross) <= 1

    @cached_property
    def joint(self) -> F64:
        """The whole matrix, shape (p, p)."""
        first, size = int(self.starts[0]), int(self.starts[-1])
        out = np.zeros((size, size))
        out[:first, :first] = self.own
        told = np.linalg.pinv(self.own, rcond=1e-12, hermitian=True)
        for k, cross in self.cross.items():
            mine = slice(int(self.starts[k]), int(self.starts[k + 1]))
            out[:first, mine], out[mine, :first] = cross, cross.T
            for other, theirs in self.cross.items():
                at = slice(int(self.starts[other]), int(self.starts[other + 1]))
                out[mine, at] = self.alone[k] if other == k else cross.T @ told @ theirs
        return out

    def penalised(self, active: Flags, penalty: F64, learnt: Sequence[tuple[F64, F64]] = ()) -> F64:
        """The matrix of the active coefficients under an L2 penalty.

        learnt: steps taken, and by how much the slope fell along each, shapes (active,): the matrix is bent to them.
        """
        return _bent((self.joint + np.diag(penalty))[np.ix_(active, active)], learnt)

    def inverse(self, active: Flags, penalty: F64, learnt: Sequence[tuple[F64, F64]] = ()) -> F64:
        """Of the penalised matrix; a ridge of rounding's size keeps it from failing."""
        matrix = self.penalised(active, penalty, learnt)
        scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
        scaled = matrix * np.outer(scale, scale) + 1e-12 * np.eye(len(matrix))
        return np.asarray(np.linalg.inv(scaled) * np.outer(scale, scale))

    def covariance(self, active: Flags, penalty: F64) -> F64:
        """Of the active coefficients, at dispersion 1; under a penalty, of the estimates about their own mean."""
        inverse = self.inverse(active, penalty)
        if not penalty.any():
            return inverse
        return np.asarray(inverse @ self.joint[np.ix_(active, active)] @ inverse)

    def inflation(self, active: Flags) -> F64:
        """Variance inflation factors of the active coefficients but the intercept, which comes first."""
        inverse, matrix = self.inverse(active, np.zeros(len(active))), self.joint[np.ix_(active, active)]
        centred = np.diag(matrix) - matrix[0] ** 2 / matrix[0, 0]
        return np.asarray(np.diag(inverse)[1:] * centred[1:])


def _bent(matrix: F64, learnt: Sequence[tuple[F64, F64]]) -> F64:
    """The matrix after BFGS updates: it gives for each step, the last exactly, the fall of the slope that was seen."""
    for step, fall in learnt:
        told = matrix @ step
        if step @ fall > 0.0:
            matrix = matrix - np.outer(told, told) / (step @ told) + np.outer(fall, fall) / (step @ fall)
    return matrix


def varying(matrix: F64) -> Flags:
    """Which columns are other than constant, the intercept the first of all; shape (p,)."""
    size = np.diag(matrix)
    left = size - matrix[0] ** 2 / matrix[0, 0]
    left[0] = size[0]
    return np.asarray(left > _SMALLEST * size)


def independent(matrix: F64) -> Flags:
    """Which columns those before them do not tell, by Cholesky steps on the scaled matrix, shape (p,)."""
    scale = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    left = matrix / np.outer(scale, scale)
    kept = np.zeros(len(matrix), dtype=bool)
    for j in range(len(matrix)):
        kept[j] = left[j, j] > _SMALLEST
        if kept[j]:
            left = left - np.outer(left[:, j], left[j]) / left[j, j]
    return kept
