"""Linear models in a training: which columns they have and how these are encoded, then a fit a rung.

The encoding is that of the training rows, and the same on every rung: a design of a partner, and its hint, serve them
all. In the placebo the same encoded columns are permuted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.family.bank_columns import BankColumns
from bank_node.family.bin_names import name_of
from bank_node.linear.coarse_classing import joined_bins
from bank_node.linear.preparing import (
    AS_USUAL,
    Preparing,
    Values,
    columns_of_bank,
    columns_of_shape,
    own_term,
    told_apart,
)
from bank_node.linear.view import DesignView, OwnDesign
from bank_node.linear.woe import evidence_of_bank, evidence_of_partner, tested_at_bank, tested_at_partner
from bank_node.metrics.stability import index_of_counts
from bank_node.partners.partner_view import PartnerView
from bank_node.partners.sessions import PartnerSessions
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.binning import ColumnShape, shape_of
from protocol.algorithms.glm import LARGEST_VALUE, VALUE, Design, DesignColumn
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.woe import Evidence
from protocol.errors import DataError, UsageError, nearest
from protocol.job import Binning, Selection
from protocol.messages import F64, I64
from protocol.table import Table

Flags = npt.NDArray[np.bool_]
_NAME: Final = "column "


@dataclass(frozen=True)
class Encoded:
    """What all rungs of one linear model share. views: of every partner.

    columns: the bank's that it could have had. checks: by party, of all its columns; none without a 0/1 label.
    """

    own: OwnDesign
    views: Mapping[str, DesignView]
    columns: Sequence[str] = ()
    checks: Mapping[str, Sequence["Weighed"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Picking:
    """How columns are picked, and prepared where they are taken as numbers.

    binning: how their bins are joined, None: not at all. selection: checks of each alone. tested: rows of the test
    part, where they were counted, shape (n,).
    """

    binning: Binning | None = None
    selection: Selection | None = None
    tested: Flags | None = None
    preparing: Preparing = AS_USUAL


@dataclass(frozen=True)
class Weighed:
    """A column's bins as weights of evidence, and what is checked of it alone.

    iv: of its bins, joined if asked. woe: of each fine bin, shape (k,). missing, single: shares of its training rows
    that are missing, or lie in the largest fine bin, which no more than so many with one value do. stability: index
    between training and test rows, None where these were not counted.
    """

    iv: float
    woe: F64
    missing: float
    single: float
    stability: float | None


def weighed(
    found: Sequence[Evidence], shapes: Sequence[ColumnShape], binning: Binning | None, tested: Sequence[I64] | None
) -> list[Weighed]:
    """Weights of evidence of every column. binning: how its bins are joined, None: not at all.

    tested: rows of the test part a fine bin, a column.
    """
    out = []
    for j, (one, shape) in enumerate(zip(found, shapes, strict=True)):
        groups = np.arange(len(one.rows)) if binning is None else joined_bins(one, shape, binning)
        joined, held = one.joined(groups), max(1, int(one.rows[: shape.size].sum()))
        stability = None
        if tested is not None:
            later = Evidence(tested[j][: len(groups)], np.zeros(len(groups), dtype=np.int64)).joined(groups)
            stability = index_of_counts(joined.rows, later.rows)
        missing = float(one.rows[shape.ordinary : shape.size].sum()) / held
        single = float(one.rows[: shape.size].max()) / held
        out.append(Weighed(joined.iv, joined.woe[groups], missing, single, stability))
    return out


def failed(one: Weighed, selection: Selection | None, min_iv: float) -> str:
    """The check of a column alone that it does not pass, "" if it passes all."""
    if selection is not None:
        if one.missing > selection.max_missing:
            return "missing"
        if one.single > selection.max_single:
            return "single"
        if selection.max_stability and one.stability is not None and one.stability > selection.max_stability:
            return "stability"
    return "iv" if one.iv < min_iv else ""


def weigh_bank(
    table: Table, columns: BankColumns, params: GlmParams, train: Flags, picking: Picking
) -> list[Weighed] | None:
    """The bank's columns; None without a 0/1 label."""
    bad = _bads(table, params)
    if bad is None:
        return None
    shapes = [shape_of(j, rule) for j, rule in enumerate(columns.rules)]
    tested = None if picking.tested is None else tested_at_bank(columns, picking.tested)
    return weighed(evidence_of_bank(columns, train, bad), shapes, picking.binning, tested)


def weigh_partner(
    view: PartnerView, table: Table, params: GlmParams, train: Flags, counts: I64 | None, picking: Picking
) -> list[Weighed] | None:
    """A partner's columns; None without a 0/1 label. counts: rows, bads and perhaps tested rows a bin."""
    bad = _bads(table, params)
    if bad is None or counts is None:
        return None
    tested = None if picking.tested is None else tested_at_partner(view, counts, picking.tested)
    return weighed(evidence_of_partner(view, counts, train, bad), view.columns, picking.binning, tested)


def encode_bank(
    table: Table, columns: BankColumns, params: GlmParams, train: Flags, picking: Picking = Picking()
) -> OwnDesign:
    """The bank's terms. Raises: DataError, UsageError: a column named is not there, or too many are."""
    found = weigh_bank(table, columns, params, train, picking)
    offered, preparing = list(columns.names), picking.preparing
    named = {column.name: column for column in table.columns}
    preparing.require_kinds(table.party, named)
    if params.by_woe:
        assert found is not None
        become = [[_thousandths(one)] for one in found]
    else:
        become = [columns_of_bank(columns, j, train, preparing.treatment(name)) for j, name in enumerate(offered)]
    widths = [len(one) for one in become]
    chosen = _chosen(table.party, params, [offered], widths, params.max_columns, found, 1, picking.selection)
    terms = [
        term
        for j in chosen
        for values in become[j]
        for term in own_term(named[offered[j]], columns.rules[j], values, train, preparing, table.party)
    ]
    _require_few(table.party, len(terms), params)
    if not terms and table.columns:
        raise DataError(table.party, "has no column for a glm: none varies", "give columns that vary")
    each = [term.encode(named[term.column]) for term in terms]
    return OwnDesign(tuple(terms), np.stack(each, axis=1) if each else np.zeros((table.rows, 0), dtype=np.int32))


def design_of(
    view: PartnerView,
    table: Table,
    params: GlmParams,
    train: Flags,
    counts: I64 | None,
    least: int,
    picking: Picking = Picking(),
) -> tuple[tuple[DesignColumn, ...], I64]:
    """A partner's columns, and what stands for each where a row is not held, in thousandths.

    counts: rows and bads a bin, of a 0/1 label. least: columns that its contract asks for.
    """
    found = weigh_partner(view, table, params, train, counts, picking)
    offered = [f"{_NAME}{shape.number + 1}" for shape in view.columns], [name_of(shape) for shape in view.columns]
    become = _become(view, params, found)
    widths, apart = [len(one) for one in become], not params.by_woe and told_apart(view, train)
    most = params.max_columns - apart
    chosen = _chosen(view.name, params, offered, widths, most, found, least, picking.selection)
    columns = [(DesignColumn(j, values), absent) for j in chosen for values, absent in become[j]]
    if apart and chosen:
        columns.append((DesignColumn(chosen[0], (0,) * view.columns[chosen[0]].size), VALUE))
    _require_few(view.name, len(columns), params)
    return tuple(column for column, _ in columns), np.array([absent for _, absent in columns], dtype=np.int64)


def open_design(
    sessions: PartnerSessions, view: PartnerView, alignment: BankAlignment, asked: Design, absent: I64
) -> DesignView:
    """Lay a design out at the partner; its hint is asked for only if none is kept."""
    columns = asked.columns
    design, kit = sessions.design(view.name, asked, alignment.rows)
    return DesignView(
        name=view.name,
        design=design,
        columns=columns,
        numbers=tuple(view.columns[one.column].number for one in columns),
        not_held=absent,
        positions=alignment.positions,
        rows=alignment.rows,
        decimals=sessions.contracts[view.name].score_decimals,
        kit=kit,
        least=sessions.contracts[view.name].min_glm_columns,
        keys=alignment.row_keys,
    )


def _become(view: PartnerView, params: GlmParams, found: Sequence[Weighed] | None) -> list[list[tuple[Values, int]]]:
    """By column of a partner: what its bins stand for, and a row that is not held, in each column that it becomes."""
    if not params.by_woe:
        return [[(values, 0) for values in columns_of_shape(view.name, shape)] for shape in view.columns]
    assert found is not None
    each = [(_thousandths(one), shape.size) for one, shape in zip(found, view.columns, strict=True)]
    return [[(values[:size], values[-1] if len(values) > size else 0)] for values, size in each]


def _bads(table: Table, params: GlmParams) -> Flags | None:
    """Which rows are bad, where the label is 0 or 1."""
    assert table.label is not None
    return table.label > 0 if params.task == "binary" else None


def _chosen(
    party: str, params: GlmParams, offered: Sequence[list[str]], widths: Sequence[int], most: int,
    found: Sequence[Weighed] | None, least: int, selection: Selection | None,
) -> list[int]:  # fmt: skip
    """Places of the columns of a party: those named, or the strongest by information value, the strongest first.

    offered: what they may be called, each way for all. widths: columns of the design that each becomes, `most` in all;
    one that no longer fits is passed over.
    """
    places = {name: place for names in offered for place, name in enumerate(names)}
    if party in params.columns:
        for name in params.columns[party]:
            if name not in places:
                raise DataError(
                    party, f"{name!r} of a glm's columns is not there, or does not vary{nearest(name, list(places))}",
                    "correct the model's columns",
                )  # fmt: skip
        return [places[name] for name in params.columns[party]]
    order = list(range(len(widths)))
    if found is not None:
        wrong = [failed(one, selection, params.min_iv) for one in found]
        order.sort(key=lambda j: (wrong[j] not in ("", "iv"), -found[j].iv, j))
        order = order[: max(wrong.count(""), least)]
    chosen: list[int] = []
    for j in order:
        if sum(widths[k] for k in (*chosen, j)) <= most:
            chosen.append(j)
    return chosen


def _thousandths(column: Weighed) -> tuple[int, ...]:
    scaled = np.clip(np.rint(column.woe * VALUE), -LARGEST_VALUE, LARGEST_VALUE)
    return tuple(int(v) for v in scaled)


def _require_few(party: str, count: int, params: GlmParams) -> None:
    most = params.most_columns(party)
    if count > most:
        raise UsageError(
            party, f"a glm would have {count} of its columns, a category counting one a bin, and {most} are the most",
            "name fewer under the model's columns, or raise max_columns",
        )  # fmt: skip
