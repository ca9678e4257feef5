"""A blind product between a real bank kit and a real partner with its budgets on disk, in a line or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partner_node.policy.budgets import Budgets
from protocol.he.base import OneHot
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.messages import I64, U64

MASTER, PARTNER_KEY, SEED = b"m" * 32, b"p" * 32, b"s" * 32


def one_hot(n: int, sizes: list[int], positions: I64 | None = None, seed: int = 1) -> OneHot:
    """Bins by a formula that fills every bin, over all positions or some."""
    held = np.arange(n) if positions is None else positions
    bins = (np.arange(len(held))[:, None] * 7 + np.arange(len(sizes)) * 3 + seed) % np.array(sizes)
    return OneHot(bins.astype(np.uint8), np.array(sizes, dtype=np.int64), n, held.astype(np.int64))


def written_out(matrix: OneHot) -> I64:
    """M itself, shape (R, n)."""
    out = np.zeros((matrix.rows, matrix.n), dtype=np.int64)
    for j, start in enumerate(matrix.offsets[:-1]):
        out[start + matrix.bins[:, j], matrix.positions] = 1
    return out


def answer(evaluator: Any, body: Any, labels: Sequence[str], asked: Any, added: I64 | None = None) -> Any:
    """What an evaluator answers to a query that it finds well-formed; budgets are spent in between by its roles."""
    query = evaluator.check(body, labels, asked)
    if added is None:
        added = np.zeros((len(labels), len(asked)), dtype=np.int64)
    return evaluator.answer(query, added)


@dataclass
class Product:
    """Both halves under one hint."""

    kit: BlindSecretKit
    evaluator: BlindEvaluator
    budgets: Budgets

    def __call__(self, vectors: I64, labels: list[str], columns: list[int] | None = None, noise: int = 0) -> I64:
        """Seal, answer, open."""
        columns = list(range(len(self.evaluator.matrix.sizes))) if columns is None else columns
        rows = self.evaluator.matrix.rows_of(columns)
        sealed = self.kit.seal(vectors, labels)
        added = np.full((len(labels), len(rows)), noise, dtype=np.int64)
        return self.kit.open(sealed, rows, answer(self.evaluator, sealed.body, labels, columns, added))


def product(folder: Path, matrix: OneHot, seed: bytes = SEED, hint: U64 | None = None) -> Product:
    """A bank and a partner over a matrix."""
    folder.mkdir(parents=True, exist_ok=True)
    budgets = Budgets(folder / "budgets.sqlite", "telecom")
    evaluator = BlindEvaluator("bank", PARTNER_KEY, matrix, seed, budgets)
    kit = BlindSecretKit("telecom", MASTER, seed, evaluator.hint() if hint is None else hint, matrix.n)
    return Product(kit, evaluator, budgets)
