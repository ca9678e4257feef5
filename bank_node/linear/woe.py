"""The bank's half of weight of evidence: one query a partner, and a table a column."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from bank_node.family.bank_columns import BankColumns
from bank_node.family.training import Training
from bank_node.partners.partner_view import PartnerView
from protocol.algorithms.binning import Cutting, starts_of
from protocol.algorithms.runs import Label
from protocol.algorithms.woe import (
    BinCounts,
    BinCountsQuery,
    Evidence,
    InformationValues,
    Noted,
    bits_of_counts,
    vector_labels,
)
from protocol.errors import IntegrityError
from protocol.he.base import Sealed
from protocol.he.plan import signed
from protocol.messages import I64
from protocol.role import Script, ask

Flags = npt.NDArray[np.bool_]


def count_partners(
    label: Label, views: Sequence[PartnerView], train: Flags, bad: Flags, tested: Flags | None = None
) -> Script[Mapping[str, I64]]:
    """Rows, bads, and tested rows if given, a bin of every partner's columns, by partner: (rows of its matrix, 2 or 3).

    label: of the way of binning. train, bad, tested: flags of the bank's rows, shape (n,).
    The counts are those of the rows that the partner holds.
    Raises: IntegrityError: a column's bins do not add up to the totals. RefusedError: an equation budget is spent.
    """
    flags = [train, train & bad, *([] if tested is None else [tested])]
    every = np.arange(len(train))
    sealed: dict[str, Sealed] = {}
    queries: dict[str, BinCountsQuery] = {}
    for view in views:
        asked, count = replace(label, run=view.run), len(flags)
        vectors = np.stack([view.spread(every, one.astype(np.int64)) for one in flags])
        sealed[view.name] = view.kit.seal(vectors, vector_labels(asked, count))
        bits = bits_of_counts(int(view.held.sum()))
        queries[view.name] = BinCountsQuery(
            layout=view.layout, label=asked, vectors=count, bits=bits, body=sealed[view.name].body
        )
    replies = yield from ask(queries, BinCounts)
    return {view.name: _opened(view, sealed[view.name], replies[view.name], flags) for view in views}


def _opened(view: PartnerView, sealed: Sealed, reply: BinCounts, flags: Sequence[Flags]) -> I64:
    """The counts, accepted only if each can be, and a column's add up to the rows and bads that the partner holds."""
    starts = starts_of(view.columns)
    bits = bits_of_counts(int(view.held.sum()))
    counts = signed(view.kit.open(sealed, np.arange(starts[-1]), reply.sums), bits).T
    totals = np.array([int((one & view.held).sum()) for one in flags])
    possible = (counts[:, 0] >= counts[:, 1]) & (counts.min(axis=1) >= 0)
    if not possible.all() or not (np.add.reduceat(counts, starts[:-1], axis=0) == totals).all():
        raise IntegrityError(view.name, "its counts do not add up to the totals", "do not use this partner's answers")
    return np.ascontiguousarray(counts)


def evidence_of_partner(view: PartnerView, counts: I64, train: Flags, bad: Flags) -> list[Evidence]:
    """A table a column: its ordinary bins, `missing` where it has one, and `not_held` last where rows are not held."""
    left_out = train & ~view.held
    extra = [[left_out.sum(), (left_out & bad).sum()]] if left_out.any() else np.zeros((0, 2))
    starts = starts_of(view.columns)
    parts = [np.concatenate((counts[a:b, :2], extra)).astype(np.int64) for a, b in pairwise(starts)]
    return [Evidence(part[:, 0], part[:, 1]) for part in parts]


def tell_values(
    views: Sequence[PartnerView], found: Mapping[str, Sequence[float]], decimals: Mapping[str, int]
) -> Script[None]:
    """Tell partners the information values of their columns, rounded; none whose contract names no decimals."""
    told = {
        view.name: InformationValues(
            layout=view.layout,
            decimals=decimals[view.name],
            values=tuple(round(iv * 10 ** decimals[view.name]) for iv in found[view.name]),
        )
        for view in views
        if decimals[view.name] > 0
    }
    yield from ask(told, Noted)


def evidence_of_bank(columns: BankColumns, train: Flags, bad: Flags) -> list[Evidence]:
    """A table a column of the bank's own."""
    out = []
    for rule, bins in zip(columns.rules, columns.bins.T, strict=True):
        size = rule.ordinary + rule.missing
        rows = np.bincount(bins[train], minlength=size).astype(np.int64)
        out.append(Evidence(rows, np.bincount(bins[train & bad], minlength=size).astype(np.int64)))
    return out


def tested_at_partner(view: PartnerView, counts: I64, tested: Flags) -> list[I64]:
    """Rows of the test part a bin, a column, `not_held` last where `evidence_of_partner` may have it too."""
    extra = [int((tested & ~view.held).sum())]
    return [np.concatenate((counts[a:b, 2], extra)).astype(np.int64) for a, b in pairwise(starts_of(view.columns))]


def tested_at_bank(columns: BankColumns, tested: Flags) -> list[I64]:
    """The same of the bank's own columns; a value that is missing there alone is left out."""
    sizes = [rule.ordinary + rule.missing for rule in columns.rules]
    return [
        np.bincount(bins[tested], minlength=size)[:size].astype(np.int64)
        for size, bins in zip(sizes, columns.bins.T, strict=True)
    ]


def counts_of(training: Training, cutting: Cutting) -> Script[Mapping[str, I64]]:
    """Rows and bads a bin of every partner's columns, asked once a way of binning."""
    if cutting not in training.counts:
        label, runs = training.table.label, training.runs
        views = [dataclasses.replace(training.views[p, cutting], run=runs[p]) for p in training.alignments]
        place = replace(training.label("counts"), tree=len(training.counts))
        assert label is not None
        train = training.parts == "train"
        tested = training.parts == "test" if training.job.selection else None
        training.counts[cutting] = yield from count_partners(place, views, train, label > 0, tested)
    return training.counts[cutting]
