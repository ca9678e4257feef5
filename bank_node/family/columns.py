"""The bank's columns in bins, each made once for all rungs; and a partner's view as a rung has it."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bank_node.family.bank_columns import BankColumns
from bank_node.family.training import Training
from bank_node.partners.partner_view import View
from protocol.algorithms.binning import Cutting, apply_rule, fit_rule
from protocol.algorithms.dropping import why_dropped
from protocol.draws import draw
from protocol.errors import DataError
from protocol.job.ladder import Rung
from protocol.table import Table

V = TypeVar("V", bound=View)


def in_rung(training: Training, rung: Rung, view: V) -> V:
    """The partner's view; in the placebo its rows are permuted, after alignment and by the bank alone."""
    view = replace(view, run=training.runs[view.name])
    if not rung.placebo:
        return view
    order = draw(training.job.run.seed, "placebo", view.name).permutation(int(view.held.sum()))
    return view.permuted(order)


def own_columns(training: Training, cutting: Cutting, fold: int = 0) -> BankColumns:
    """The bank's columns, binned once for all rungs; those dropped are kept for the report.

    fold: over the rows that are trained on outside of it; 0: over all that are.
    """
    if (cutting, fold) not in training.own:
        table, fitted = training.table, training.parts == "train"
        if fold:
            assert training.folds is not None
            fitted &= (training.folds != fold).all(axis=0)
        columns = training.own[cutting, fold] = bin_own(table, cutting, fitted)
        if not fold:
            training.dropped[table.party] = dropped_own(table, columns, fitted)
    return training.own[cutting, fold]


def dropped_own(table: Table, columns: BankColumns, fitted: npt.NDArray[np.bool_]) -> dict[str, str]:
    """Why each of the bank's columns that was not kept was dropped, by name."""
    return {
        c.name: "mostly unique" if c.name in table.mostly_unique else why_dropped(c.rows(fitted), 1)
        for c in table.columns
        if c.name not in columns.names
    }


def bin_own(table: Table, cutting: Cutting, fitted: npt.NDArray[np.bool_]) -> BankColumns:
    """The bank's columns, binned over the rows that are fitted on; a column left with one bin is dropped."""
    rules = [fit_rule(column.rows(fitted), cutting, 1) for column in table.columns]
    kept = [j for j, rule in enumerate(rules) if rule.ordinary + rule.missing >= 2]
    if not kept and table.columns:
        raise DataError(
            table.party, "has no usable column: each is constant on the rows trained on", "give more columns"
        )
    each = [apply_rule(rules[j], table.columns[j]) for j in kept]
    bins = np.stack(each, axis=1) if each else np.zeros((table.rows, 0), dtype=np.uint8)
    return BankColumns(
        tuple(table.columns[j].name for j in kept), tuple(rules[j] for j in kept), np.ascontiguousarray(bins)
    )
