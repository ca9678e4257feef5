"""What encryption costs in the loop that takes the time: the histograms of a level's nodes.

Ours is all that both sides do for them after the hint: the bank seals the nodes' vectors, the partner sums them under
the seal, floods them and enters its budgets, and the bank opens the sums. The reference is our own plaintext kernel,
compiled by the same compiler, over the same rows: one pass a node over the two words (g, h). Engine `plaintext` does
better than that, since it too takes a batch in one pass and packs g and h; `engine_ratio` is against all of its work.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from partner_node.policy.budgets import Allowance, Asked, Budgets
from protocol.draws import draw
from protocol.he.base import OneHot
from protocol.he.engines import evaluator, secret_kit
from protocol.he.kernels import sum_words
from protocol.he.noise import high_bits
from protocol.he.plan import WHOLE_BITS, Plan, make_plan, signed
from protocol.messages import I64

_REPEATS = 15
"""Shared machines slow one run in five by a third for seconds on end: the median of so many passes over that."""
_HISTOGRAM_NOISE = 4.0
_BITS = WHOLE_BITS - 1


def benchmark_node(rows: int = 60_000, partner_columns: int = 67, bins: int = 16, batch: int = 8) -> dict[str, Any]:
    """Histograms of `batch` nodes over a partner's columns: blind over plaintext, medians of interleaved runs."""
    matrix = _matrix(rows, partner_columns, bins)
    plan, g, h = _gradients(rows, batch)
    packing = plan.packing(np.stack((g.sum(axis=0), h.sum(axis=0)), axis=1), _HISTOGRAM_NOISE)
    vectors = np.concatenate([packing.vectors(*node) for node in zip(g, h, strict=True)])
    with tempfile.TemporaryDirectory() as folder:
        works: list[Callable[[], None]] = [
            _histograms("blind", matrix, vectors, Path(folder)),
            _histograms("plaintext", matrix, vectors, Path(folder)),
            partial(_kernel, matrix, list(np.stack((g, h), axis=1))),
        ]
        rounds = [[_seconds(work) for work in works] for _ in range(_REPEATS + 1)][1:]
    ours_s, engine_s, reference_s = (median(column) for column in zip(*rounds, strict=True))
    return {
        "ratio": ours_s / reference_s,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "threads": 1,
        "engine_ratio": ours_s / engine_s,
        "settings": {
            "rows": rows, "partner_columns": partner_columns, "bins": bins, "nodes": batch,
            "vectors_a_node": len(vectors) // batch, "reference": "plaintext kernel, one pass a node over (g, h)",
        },
    }  # fmt: skip


def _matrix(rows: int, columns: int, bins: int) -> OneHot:
    drawn = draw(1, "bins").integers(0, bins, (rows, columns), dtype=np.uint8)
    return OneHot(drawn, np.full(columns, bins, dtype=np.int64), rows, np.arange(rows))


def _gradients(rows: int, nodes: int) -> tuple[Plan, I64, I64]:
    """The plan of a tree, and quantised g, h of its nodes, shape (nodes, rows): each row in one node, else 0."""
    generator = draw(1, "gradients")
    probability, label = generator.random(rows), generator.random(rows) < 0.2
    g, h = probability - label, probability * (1 - probability)
    plan = make_plan(g, h, _HISTOGRAM_NOISE)
    among = generator.integers(0, nodes, rows) == np.arange(nodes)[:, None]
    whole = [field.quantise(v, generator.random(rows)) for field, v in ((plan.g, g), (plan.h, h))]
    return plan, np.where(among, whole[0], 0), np.where(among, whole[1], 0)


def _histograms(engine: str, matrix: OneHot, vectors: I64, folder: Path) -> Callable[[], None]:
    """Both sides' work for one level, each time under new labels: budgets, flooding and random high bits included."""
    budgets = Budgets(folder / f"{engine}.sqlite", "partner")
    partner = evaluator(engine, "bank", b"p" * 32, matrix, b"s" * 32, budgets)
    kit = secret_kit(engine, "partner", b"m" * 32, b"s" * 32, partner.hint(), matrix.n)
    columns, level = range(len(matrix.sizes)), count()
    wanted = sum_words(matrix, columns, vectors.view(np.uint64)).view(np.int64)
    run, allowance = budgets.open_run("bank", "data", "0" * 64, b"n" * 32, b"e" * 32, None), Allowance(None, None)

    def work() -> None:
        number = next(level)
        labels = [f"{number}/{k}" for k in range(len(vectors))]
        sealed = kit.seal(vectors, labels)
        query = partner.check(sealed.body, labels, columns)
        asked = [Asked("sums", label, name, 2) for label, name in zip(labels, query.names, strict=True)]
        with budgets.spending():
            budgets.spend("bank", "data", "alignment", run, asked, allowance)
            budgets.spend_flood(query.hint, query.cost * len(labels))
        hidden = [high_bits(run.epoch, name, _BITS, matrix.rows) for name in query.names]
        answer = partner.answer(query, np.stack(hidden))
        if (signed(kit.open(sealed, np.arange(matrix.rows), answer), _BITS) != wanted).any():
            raise AssertionError(f"engine {engine} opened other sums")

    return work


def _kernel(matrix: OneHot, nodes: list[I64]) -> None:
    for pair in nodes:
        sum_words(matrix, range(len(matrix.sizes)), pair.view(np.uint64))


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
