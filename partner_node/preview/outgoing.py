"""What would leave this partner for a job: every declared kind, with bounds on how many messages and bytes.

Bounds count the bodies, as the ledger does, of one run of the job from its greeting to its last model, with an
alignment of its own. Nothing that is asked twice leaves twice: a repeat is the same bytes again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

import msgspec

from partner_node.algorithms.binning import BinnedTable
from protocol.algorithms.alignment import PART
from protocol.algorithms.binning import Cutting, Layout, sizes_of
from protocol.algorithms.declared import CATALOGUE
from protocol.algorithms.glm import product_rows, vectors_a_query
from protocol.algorithms.group import POINT_BYTES, TAG_BYTES
from protocol.he.engines import about, answer_bytes, hint_bytes, hint_parts, integer_bytes, integer_hint_bytes
from protocol.job.plan import PlannedModel
from protocol.job.workload import Workload
from protocol.messages import encoded_size

_HEAD: Final = 64
"""Bytes of keys, lengths and types in a message body, or of one item in a list of it."""
_TERMS: Final = 2048
_REFUSED: Final = _HEAD + 4 * (2 * 1000 + 2 * 200)
"""Bytes of a refusal: thing and remedy, party and clause, at their longest, of letters of four bytes."""
_WORD: Final = 8
_CERTIFIED: Final = 4096
"""Bytes of a signed key with its certificate."""

When = Literal["training", "each scoring", "each refresh", "in place of an answer"]


class Leaving(msgspec.Struct, frozen=True):
    """One kind of message. count, bytes: at most; of one scoring, refresh or refusal, where `when` says so."""

    kind: str
    content: str
    encrypted: bool
    purpose: str
    when: When
    count: int
    bytes: int


@dataclass(frozen=True)
class Sizes:
    """What the bounds depend on.

    ids: that the partner aligns: the rows of its table, or, on a grid of points in time, an id and point each.
    space: rows of the space in which a split is answered. bank_rows: of the bank's table. partners: of the job.
    tables: the bins of the partner's table, by the cutting asked. engine: by its name. shared: whether partners share
    one order of rows, and so can hide their scores in the sum; masked: whether the contract wants that they do.
    """

    ids: int
    space: int
    bank_rows: int
    partners: int
    tables: dict[Cutting, BinnedTable]
    engine: str
    shared: bool
    masked: bool


def leaving(plan: Workload, sizes: Sizes) -> list[Leaving]:
    """Every kind that would leave, in the order in which they first do."""
    bounds = [*_before(sizes), *_training(plan, sizes)]
    splits = splits_asked(plan, sizes)
    most_bits = _HEAD + max(splits.values(), default=0) * _bits(sizes.space)
    return [
        *(_entry(kind, "training", count, size, sizes) for kind, count, size in bounds),
        *([_entry("scoring.bits", "each scoring", 1, most_bits, sizes)] if any(splits.values()) else []),
        *(_entry(kind, "each scoring", 1, size, sizes) for kind, size in _scoring(plan, sizes)),
        *(() if sizes.shared else (_entry(kind, "each refresh", n, size, sizes) for kind, n, size in _refresh(sizes))),
        _entry("refusal", "in place of an answer", 1, _REFUSED, sizes),
    ]


def splits_asked(plan: Workload, sizes: Sizes) -> dict[Cutting, int]:
    """How many splits a job may ask for at most, by cutting: one a node that has children."""
    asked = dict.fromkeys(sizes.tables, 0)
    for model in plan.models:
        asked[model.cutting] += model.trees * (2**model.depth - 1)
    return asked


def _before(sizes: Sizes) -> Iterator[tuple[str, int, int]]:
    """Agreement, alignment, layouts and hints."""
    theirs, ours = (max(1, ceil(n / PART)) for n in (sizes.bank_rows, sizes.ids))
    yield "agreement.welcome", 2, 2 * _TERMS  # at the beginning, and at the end
    yield "alignment.started", 1, 2 * _HEAD
    yield "alignment.twice_blinded", theirs, sizes.bank_rows * POINT_BYTES + theirs * _HEAD
    yield "alignment.own_ids", ours, sizes.ids * TAG_BYTES + ours * _HEAD
    yield "alignment.aligned", 1, 2 * _HEAD
    yield "alignment.held", 1, ceil(sizes.bank_rows / 8) + 3 * _HEAD  # in place of it, where the bank sends dates
    tables = sizes.tables.values()
    yield "binning.layout", len(tables), sum(_layout(t) for t in tables) + len(tables) * _HEAD
    heights = [_rows_of_matrix(table) for table in tables]
    parts = sum(len(hint_parts(sizes.engine, rows)) for rows in heights)
    yield "binning.hint", parts, sum(hint_bytes(sizes.engine, rows) for rows in heights) + parts * _HEAD


def _layout(table: BinnedTable) -> int:
    """Bytes of a layout, with the names, bins and preparations that are told."""
    told = Layout(layout="0" * 64, rows=len(table.bins), columns=table.shapes, dropped=table.dropped, nonce=bytes(32))
    return encoded_size(told)


def _training(plan: Workload, sizes: Sizes) -> Iterator[tuple[str, int, int]]:
    """Openings, sums, split bits and the handles of every model."""
    yield "run.opened", 1, 2 * _HEAD
    yield "boosting.opened", len(plan.models), 2 * _HEAD * len(plan.models)
    tables = [(m.counts, _rows_of_matrix(sizes.tables[m.cutting])) for m in plan.models if m.counts]
    if tables:
        counted = sum(answer_bytes(sizes.engine, rows, vectors, 1) + _HEAD for vectors, rows in tables)
        yield "woe.counts", len(tables), counted
        yield "woe.noted", 1, 2 * _HEAD  # where the contract lets the bank tell information values
    levels = sum(m.trees * m.depth for m in plan.models)
    yield "boosting.sums", levels, sum(_sums(m, sizes) for m in plan.models) + levels * _HEAD
    again = sizes.partners * len(plan.models)  # after a partner's budget is spent, a level may be chosen anew
    bits = sum(splits_asked(plan, sizes).values()) * _bits(sizes.space)
    yield "boosting.splits", levels + again, bits + (levels + again) * _HEAD
    if _linear(plan):
        yield from _fitting(_linear(plan), sizes)
    kept = sum(m.fits for m in plan.models)
    yield "boosting.kept", kept, 4 * _HEAD * kept


def _linear(plan: Workload) -> list[PlannedModel]:
    return [model for model in plan.models if model.columns]


def _fitting(models: list[PlannedModel], sizes: Sizes) -> Iterator[tuple[str, int, int]]:
    """Designs, their hints, sums, and partial scores of linear models."""
    yield "glm.designed", len(models), 4 * _HEAD * len(models)
    rows = [len(product_rows(model.columns)) for model in models]
    yield "glm.hint", len(models), sum(integer_hint_bytes(sizes.engine, r) + _HEAD for r in rows)
    asked = sum(model.releases + model.fits + model.vectors // vectors_a_query(sizes.space) for model in models)
    sums = 0
    for m, r in zip(models, rows, strict=True):
        sums += integer_bytes(sizes.engine, m.columns, m.vectors, asked)
        sums += integer_bytes(sizes.engine, r, m.releases + m.fits, asked)
    yield "glm.sums", asked, sums + 2 * asked * _HEAD
    releases = sum(model.releases for model in models)
    singly = sum(model.alone for model in models) if sizes.masked else releases
    if sizes.shared:  # another partner may want it, though this one does not
        sums, hidden = max(model.fits for model in models), sum(model.releases - model.alone for model in models)
        yield from (("masks.key", sums, sums * _CERTIFIED), ("masks.agreed", sums, 2 * sums * _HEAD))
        yield "glm.masked_scores", hidden, hidden * _scores(sizes)
    if singly:
        yield "glm.partial_scores", singly, singly * _scores(sizes)


def _scoring(plan: Workload, sizes: Sizes) -> Iterator[tuple[str, int]]:
    """What leaves each time that rows are scored by a linear model: of one with this partner alone, its own scores."""
    models = _linear(plan)
    if models and (not sizes.masked or any(model.alone for model in models)):
        yield "glm.scores", _scores(sizes)
    if models and sizes.shared:
        yield from (("masks.key", _CERTIFIED), ("masks.agreed", 2 * _HEAD), ("glm.masked_term_scores", _scores(sizes)))


def _refresh(sizes: Sizes) -> Iterator[tuple[str, int, int]]:
    """What leaves besides answers to scoring: at most of all ids, which are evaluated and told once for life."""
    theirs, ours = (max(1, ceil(n / PART)) for n in (sizes.bank_rows, sizes.ids))
    yield "register.opened", 1, 6 * _HEAD
    yield "register.evaluation", theirs, sizes.bank_rows * POINT_BYTES + 2 * theirs * _HEAD
    yield "register.proof", theirs, 2 * theirs * _HEAD
    yield "register.tags", ours, sizes.ids * TAG_BYTES + ours * _HEAD


def _scores(sizes: Sizes) -> int:
    """Bytes of a score of every row, and of the nonce of its pads."""
    return sizes.space * _WORD + 2 * _HEAD


def _sums(model: PlannedModel, sizes: Sizes) -> int:
    """Bytes of a model's sums: g and h in vectors of their own, should they not fit in one."""
    vectors = 2 * model.trees * model.vectors_a_tree
    rows = _rows_of_matrix(sizes.tables[model.cutting])
    return answer_bytes(sizes.engine, rows, vectors, model.trees * model.depth)


def _bits(rows: int) -> int:
    """Bytes of the answer to a split: two bits a row, and the name of its pad."""
    return 2 * ceil(rows / 8) + 2 * _HEAD


def _rows_of_matrix(table: BinnedTable) -> int:
    return int(sizes_of(table.shapes).sum())


def _entry(kind: str, when: When, count: int, size: int, sizes: Sizes) -> Leaving:
    said = CATALOGUE[kind].DISCLOSURE
    by_engine = kind in ("boosting.sums", "woe.counts", "glm.sums") and not about(sizes.engine).encrypts
    return Leaving(kind, said.content, said.encrypted and not by_engine, said.purpose, when, count, size)
