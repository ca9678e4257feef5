"""Bin tables of the report: each column's bins by name, with goods, bads, WOE, IV and KS, strongest column first."""

from collections.abc import Iterable, Sequence

from bank_node.algorithms.boosting import BankColumns
from bank_node.algorithms.partner_view import PartnerView
from bank_node.evaluation.facts import Bin, BinTable
from protocol.algorithms.binning import ColumnShape, NumberRule, Rule
from protocol.algorithms.woe import Evidence

MISSING, NOT_HELD = "missing", "not held"


def tables_of_bank(columns: BankColumns, evidence: Sequence[Evidence]) -> list[BinTable]:
    """The bank's columns, with their values."""
    named = zip(columns.names, columns.rules, evidence, strict=True)
    return _sorted(_table(name, _values(rule), found) for name, rule, found in named)


def tables_of_partner(view: PartnerView, evidence: Sequence[Evidence]) -> list[BinTable]:
    """A partner's columns, by number: their names and values stay with the partner."""
    numbered = zip(view.columns, evidence, strict=True)
    return _sorted(_table(f"column {shape.number + 1}", _numbers(shape), found) for shape, found in numbered)


def _sorted(tables: Iterable[BinTable]) -> list[BinTable]:
    return sorted(tables, key=lambda table: -table.iv)


def _table(column: str, names: Sequence[str], evidence: Evidence) -> BinTable:
    names = [*names, *[NOT_HELD] * (len(evidence.rows) - len(names))]
    counted = zip(names, evidence.rows.tolist(), evidence.bads.tolist(), evidence.woe.tolist(), strict=True)
    bins = [Bin(name=n, rows=r, bads=b, bad_rate=b / r if r else 0.0, woe=w) for n, r, b, w in counted]
    return BinTable(column=column, iv=evidence.iv, ks=float(evidence.ks.max()), bins=bins)


def _values(rule: Rule) -> list[str]:
    """What is in each bin: an interval, or categories."""
    special = [MISSING] if rule.missing else []
    if not isinstance(rule, NumberRule):
        return [*(", ".join(group) for group in rule.groups), *special]
    cuts = [f"{cut:g}" for cut in rule.cuts]
    return [f"{low} ≤ x < {high}" for low, high in zip(["-∞", *cuts], [*cuts, "∞"], strict=True)] + special


def _numbers(shape: ColumnShape) -> list[str]:
    return [f"bin {b + 1}" for b in range(shape.ordinary)] + ([MISSING] if shape.missing else [])
