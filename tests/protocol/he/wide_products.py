"""Matrices of whole numbers for tests, and a blind product over them between a real bank kit and a real partner."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from partner_node.policy.budgets import Budgets
from protocol.he.base import MAX_VALUE, Integers
from protocol.he.blind.wide_evaluator import WideEvaluator
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.messages import I64, U8
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, answer


def all_pairs(columns: int) -> I64:
    """Rows of M: every column, then every product of two, shape (d + d (d + 1) / 2, 2)."""
    pairs = [(a, b) for a in range(columns) for b in range(a, columns)]
    return np.array([*((a, -1) for a in range(columns)), *pairs], dtype=np.int64)


def integers(n: int, columns: int, held: I64, rng: np.random.Generator) -> Integers:
    """Random values of every size, the largest among them, under all pairs of columns."""
    values = rng.integers(-MAX_VALUE, MAX_VALUE + 1, (len(held), columns))
    values[::3] = rng.choice([-MAX_VALUE, MAX_VALUE], values[::3].shape)
    return Integers(values.astype(np.int16), all_pairs(columns), n, held.astype(np.int64))


def written_integers(matrix: Integers) -> I64:
    """M itself, shape (R, n)."""
    out = np.zeros((matrix.rows_count, matrix.n), dtype=np.int64)
    for r, (first, second) in enumerate(matrix.rows):
        column = matrix.values[:, first].astype(np.int64)
        out[r, matrix.positions] = column if second < 0 else column * matrix.values[:, second]
    return out


@dataclass
class WideProduct:
    """Both halves under one hint."""

    kit: WideSecretKit
    evaluator: WideEvaluator
    budgets: Budgets
    budgets_path: Path

    def __call__(self, vectors: I64, labels: list[str]) -> I64:
        """Seal, answer, open, for all rows."""
        rows = np.arange(self.evaluator.matrix.rows_count)
        sealed = self.kit.seal(vectors, labels)
        return self.kit.open(sealed, rows, answer(self.evaluator, sealed.body, labels, rows))


def wide_product(folder: Path, matrix: Integers, seed: bytes = SEED, hint: U8 | None = None) -> WideProduct:
    """A bank and a partner over a matrix."""
    folder.mkdir(parents=True, exist_ok=True)
    budgets = Budgets(folder / "budgets.sqlite", "telecom")
    evaluator = WideEvaluator("bank", PARTNER_KEY, matrix, seed, budgets)
    kit = WideSecretKit("telecom", MASTER, seed, evaluator.hint() if hint is None else hint, matrix.n)
    return WideProduct(kit, evaluator, budgets, folder / "budgets.sqlite")
