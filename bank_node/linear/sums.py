"""Gradient and curvature of a fit: the bank seals its vectors, and opens what each partner sums over its columns."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from msgspec.structs import replace

from bank_node.linear.information_matrix import Curvature
from bank_node.linear.task import Flags, GlmTask
from bank_node.linear.view import DesignView
from protocol.algorithms.glm import (
    ROOM_LOG2,
    VALUE,
    CrossQuery,
    CrossSums,
    bits_of_sums,
    most_sum_log2,
    product_rows,
    squared,
    vector_labels,
    vectors_a_query,
)
from protocol.algorithms.runs import Label
from protocol.errors import IntegrityError
from protocol.he.base import MAX_PRODUCT, MAX_VALUE
from protocol.he.integers import SealedIntegers
from protocol.he.plan import signed
from protocol.messages import F64, I64
from protocol.role import Script, ask

_FINEST: Final = 40
_POOL: Final = ThreadPoolExecutor(4, thread_name_prefix="seal")


@dataclass
class Sums:
    """What a fit asks for, step by step. queries: vectors sent to each partner so far."""

    task: GlmTask
    queries: int = 0

    def at(self, eta: F64, label: Label, fresh: bool) -> Script[tuple[F64, Curvature | None]]:
        """The gradient, and if asked the curvature, over all parties' columns.

        eta: the linear predictor. label: of the step.
        """
        task, own = self.task, self.task.numbers
        residual, weight = task.family.residual(eta), task.family.weight(eta)
        with task.clock("histogram"):
            gradient = np.zeros(int(task.starts[-1]))
            gradient[: own.shape[1]] = own.T @ residual
            weighted = own * weight[:, None]
            blocks = Curvature(task.starts, own.T @ weighted) if fresh else None
        asked = yield from self._ask(label, residual, weighted if fresh else None)
        for number, view in enumerate(task.partners):
            block = task.block(number)
            sums, products = asked[view.name]
            there = view.positions[task.rows] >= 0
            constant = view.not_held / VALUE
            gradient[block] = sums[0] + constant * residual[~there].sum()
            if blocks is not None:
                outside = weighted[~there].sum(axis=0)
                blocks.enter(
                    number, sums[1:] + np.outer(outside, constant), products + np.outer(constant, constant) * outside[0]
                )
                if not blocks.possible(number):
                    raise _impossible(view)
        return gradient, blocks

    def _ask(self, label: Label, residual: F64, weighted: F64 | None) -> Script[dict[str, tuple[F64, F64]]]:
        """By partner: sums over its columns of the residual and of each weighted own column, and its own curvature."""
        vectors = residual[None] if weighted is None else np.concatenate((residual[None], weighted[:, 1:].T))
        held = [view.positions[self.task.rows] >= 0 for view in self.task.partners]
        whole, units = _as_integers(vectors, held)
        weight, unit = _as_integers(vectors[:0] if weighted is None else weighted[:, :1].T, held)
        found = []
        batch = min((vectors_a_query(view.rows) for view in self.task.partners), default=len(whole))
        for first in range(0, len(whole), batch):
            weights = weight[:0] if first else weight
            found.append(
                (
                    yield from self._exchange(
                        replace(label, node=first), whole[first : first + batch], weights, (units, unit)
                    )
                )
            )
        return {
            view.name: (np.concatenate([one[view.name][0] for one in found]), found[0][view.name][1])
            for view in self.task.partners
        }

    def _exchange(
        self, label: Label, whole: I64, weight: I64, units: tuple[float, float]
    ) -> Script[dict[str, tuple[F64, F64]]]:
        """Some of the vectors of a step, from number `label.node` on, and the weight with the first ones."""
        with self.task.clock("encrypt"):
            jobs = _POOL.map(lambda view: self._query(view, label, whole, weight), self.task.partners)
            sealed = {view.name: job for view, job in zip(self.task.partners, jobs, strict=True)}
        queries = {name: one.query for name, one in sealed.items()}
        with self.task.clock("network"):
            replies = yield from ask(queries, CrossSums)
        self.queries += len(whole) + len(weight)
        with self.task.clock("decrypt"):
            return {
                view.name: _opened(view, sealed[view.name], replies[view.name], *units) for view in self.task.partners
            }

    def _query(self, view: DesignView, label: Label, whole: I64, weight: I64) -> "_Sent":
        """The vectors sealed over one partner's row space, and the weight if there is one."""
        spread = view.spread(self.task.rows, whole)
        asked, sizes = replace(label, run=view.run), _sum_log2(spread)
        body = view.kit.seal(spread, vector_labels(asked, len(whole)), MAX_VALUE)
        bare = CrossQuery(design=view.design, label=asked, vectors=len(whole), sum_log2=sizes, body=body.body)
        if not len(weight):
            return _Sent(bare, body, _totals(spread))
        totals, spread = _totals(spread), view.spread(self.task.rows, weight)
        other = view.kit.seal(spread, (bare.weight_label,))
        query = CrossQuery(
            design=view.design, label=asked, vectors=len(whole), sum_log2=sizes, body=body.body,
            weight_sum_log2=_sum_log2(spread), weight=other.body,
        )  # fmt: skip
        return _Sent(query, body, totals, other, _totals(spread))


@dataclass(frozen=True)
class _Sent:
    """A query, and what opens the answer to it. totals: sizes of each vector's entries, added up; of the weight's."""

    query: CrossQuery
    body: SealedIntegers
    totals: I64 = field(repr=False)
    weight: SealedIntegers | None = None
    weight_totals: I64 | None = field(default=None, repr=False)


def _sum_log2(vectors: I64) -> int:
    """The least s for which the sizes of every vector's entries sum to less than 2^s. vectors: shape (B, n)."""
    return int(_totals(vectors).max(initial=0)).bit_length()


def _totals(vectors: I64) -> I64:
    """The sizes of every vector's entries, added up, shape (B,)."""
    return np.asarray(np.abs(vectors).sum(axis=1))


def _as_integers(vectors: F64, held: Sequence[Flags]) -> tuple[I64, float]:
    """Vectors in whole units, shape as they, and the unit: the finest power of two that leaves sums their room.

    held: by partner, the rows that it holds: it admits no larger sums than so many rows need.
    """
    sizes = np.abs(vectors)
    rooms = [(ROOM_LOG2, sizes), *((most_sum_log2(int(some.sum())) - 1, sizes[:, some]) for some in held)]
    totals = [(room, float(some.sum(axis=1).max(initial=0.0))) for room, some in rooms]
    log2 = min([_FINEST, *(int(np.floor(room - np.log2(total))) for room, total in totals if total > 0)])
    return np.rint(vectors * 2.0**log2).astype(np.int64), 2.0**-log2


def _opened(view: DesignView, sent: _Sent, reply: CrossSums, units: float, unit: float) -> tuple[F64, F64]:
    """Sums of residual, weight and weighted columns, shape (B, d), and of products, shape (d, d), in true units.

    Raises: IntegrityError: sums that no columns give.
    """
    count, query = view.size, sent.query
    columns, every = np.arange(count), np.arange(len(product_rows(count)))
    opened = view.kit.open(sent.body, columns, reply.columns)
    whole = signed(opened, bits_of_sums(columns, count, query.sum_log2))
    _require_range(view, whole, MAX_VALUE * sent.totals[:, None])
    sums = whole * (units / VALUE)
    if sent.weight is None or sent.weight_totals is None:
        return np.asarray(sums), np.zeros((count, count))
    opened = view.kit.open(sent.weight, every, reply.weight)
    whole = signed(opened, bits_of_sums(every, count, query.weight_sum_log2))[0]
    largest = np.where(every < count, MAX_VALUE, MAX_PRODUCT) * int(sent.weight_totals[0])
    _require_range(view, whole, largest)
    both = whole * unit
    all_sums = np.concatenate((sums[:1], both[None, :count] / VALUE, sums[1:]))
    return np.asarray(all_sums), squared(both[count:] / VALUE**2, count)


def _require_range(view: DesignView, sums: I64, largest: I64) -> None:
    """Raises: IntegrityError: a sum is larger in size than values of columns can make it."""
    if (np.abs(sums) > largest).any():
        raise _impossible(view)


def _impossible(view: DesignView) -> IntegrityError:
    return IntegrityError(view.name, "answered with sums that no columns give", "do not use this partner's answers")
