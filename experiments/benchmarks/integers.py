"""What encryption costs in a step of a regression: the sums that one Newton step asks of a partner, exact.

Ours is all that both sides do for them after the hint: the bank seals a residual and its weighted columns, to be summed
over the partner's columns, and the weights, to be summed over the products of two of them as well; the partner sums
under the seal, floods and enters its budgets; the bank opens. The reference is the same of engine `plaintext`.
"""

import os
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from partner_node.policy.budgets import Budgets
from protocol.draws import draw
from protocol.he.base import MAX_VALUE, Integers
from protocol.he.engines import integer_evaluator, integer_kit
from protocol.messages import I64

_REPEATS: Final = 5
_BANK_COLUMNS: Final = 17


def benchmark_integers(rows: int = 60_000, partner_columns: int = 30) -> dict[str, Any]:
    """One Newton step's sums over a partner's columns: blind over plaintext, medians of interleaved runs; its hint."""
    generator = draw(1, "values")
    values = generator.integers(-MAX_VALUE, MAX_VALUE + 1, (rows, partner_columns)).astype(np.int16)
    matrix = Integers(values, _columns_and_products(partner_columns), rows, np.arange(rows))
    vectors = generator.integers(-(1 << 18), 1 << 18, (2 + _BANK_COLUMNS, rows))
    with tempfile.TemporaryDirectory() as folder:
        blind, hint_s, octets = _step("blind", matrix, vectors, Path(folder))
        plain, _, _ = _step("plaintext", matrix, vectors, Path(folder))
        rounds = [(_seconds(blind), _seconds(plain)) for _ in range(_REPEATS + 1)][1:]
    ours_s, reference_s = (median(column) for column in zip(*rounds, strict=True))
    return {
        "ratio": ours_s / reference_s,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "threads": os.cpu_count(),
        "hint_s": hint_s,
        "hint_bytes": octets,
        "settings": {
            "rows": rows, "partner_columns": partner_columns, "bank_columns": _BANK_COLUMNS,
            "sums": len(vectors) * partner_columns + matrix.rows_count, "reference": "engine plaintext",
        },
    }  # fmt: skip


def _columns_and_products(columns: int) -> I64:
    alone = np.stack((np.arange(columns), np.full(columns, -1)), axis=1)
    return np.concatenate((alone, np.stack(np.triu_indices(columns), axis=1))).astype(np.int64)


def _step(engine: str, matrix: Integers, vectors: I64, folder: Path) -> tuple[Callable[[], None], float, int]:
    """Both sides' work for one step, each time under new labels; seconds and bytes of the hint before it."""
    budgets = Budgets(folder / f"{engine}.sqlite", "partner")
    partner = integer_evaluator(engine, "bank", b"p" * 32, matrix, b"s" * 32, budgets)
    began = time.perf_counter()
    hint = partner.hint()
    hint_s, kit = time.perf_counter() - began, integer_kit(engine, "partner", b"m" * 32, b"s" * 32, hint, matrix.n)
    columns, step = np.arange(matrix.values.shape[1]), count()
    asked = ((vectors[:-1], columns), (vectors[-1:], np.arange(matrix.rows_count)))
    wanted = vectors[:-1] @ matrix.values.astype(np.int64)

    def work() -> None:
        number, opened = next(step), []
        for some, rows in asked:
            labels = [f"{number}/{len(rows)}/{k}" for k in range(len(some))]
            sealed = kit.seal(some, labels)
            query = partner.check(sealed.body, labels, rows)
            answer = partner.answer(query, np.zeros((len(some), len(rows)), dtype=np.int64))
            opened.append(kit.open(sealed, rows, answer))
        if (opened[0] != wanted).any():
            raise AssertionError(f"engine {engine} opened other sums")

    return work, hint_s, hint.nbytes


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
