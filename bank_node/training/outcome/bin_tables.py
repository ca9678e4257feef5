"""Bin tables of the report: each column's bins by name, with goods, bads, WOE, IV and KS, strongest column first."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bank_node.family.bank_columns import BankColumns
from bank_node.linear.coarse_classing import joined_bins
from bank_node.partners.partner_view import PartnerView
from bank_node.record.facts import Bin, BinTable
from protocol.algorithms.binning import ColumnShape, NumberRule, Rule, shape_of
from protocol.algorithms.woe import Evidence
from protocol.job import Binning
from protocol.messages import I64

MISSING, NOT_HELD = "missing", "not held"


def tables_of_bank(
    columns: BankColumns, evidence: Sequence[Evidence], binning: Binning, names: Mapping[str, str]
) -> list[BinTable]:
    """The bank's columns, with their values. names: what they are called, where that is another name."""
    tables = []
    for number, (name, rule, found) in enumerate(zip(columns.names, columns.rules, evidence, strict=True)):
        groups = joined_bins(found, shape_of(number, rule), binning)
        tables.append(bin_table(names.get(name, name), names_of_rule(rule, groups), found.joined(groups)))
    return _sorted(tables)


def tables_of_partner(view: PartnerView, evidence: Sequence[Evidence], binning: Binning) -> list[BinTable]:
    """A partner's columns, by number: their names and values stay with the partner, but for those that it tells."""
    tables = []
    for shape, found in zip(view.columns, evidence, strict=True):
        groups = joined_bins(found, shape, binning)
        tables.append(bin_table(name_of(shape), names_of_shape(shape, groups), found.joined(groups)))
    return _sorted(tables)


def ivs_of(view: PartnerView, evidence: Sequence[Evidence], binning: Binning) -> list[float]:
    """Information values of a partner's columns, in its own order."""
    each = zip(view.columns, evidence, strict=True)
    return [found.joined(joined_bins(found, shape, binning)).iv for shape, found in each]


def name_of(shape: ColumnShape) -> str:
    """What a partner's column is called: by the name that it tells, or by number."""
    return shape.name or f"column {shape.number + 1}"


def _sorted(tables: Iterable[BinTable]) -> list[BinTable]:
    return sorted(tables, key=lambda table: -table.iv)


def bin_table(column: str, names: Sequence[str], evidence: Evidence) -> BinTable:
    """The table of one column. names: of its bins, in order."""
    figures = (evidence.rows, evidence.bads, evidence.woe, evidence.iv_by_bin, evidence.ks)
    bins = [
        Bin(name=name, rows=r, bads=b, bad_rate=b / r if r else 0.0, woe=woe, iv=iv, ks=ks)
        for name, r, b, woe, iv, ks in zip(names, *(f.tolist() for f in figures), strict=True)
    ]
    return BinTable(column=column, iv=evidence.iv, ks=float(evidence.ks.max()), bins=bins)


def names_of_rule(rule: Rule, groups: I64) -> list[str]:
    """What is in each joined bin of the bank's own: an interval, categories, a special value, missing, not held.

    groups: joined bin of each fine one, shape (k,).
    """
    if isinstance(rule, NumberRule):
        special = [f"= {value:g}" for value in rule.special]
        cuts = [f"{cut:g}" for cut in rule.cuts]
        runs = [(at[0], at[-1] + 1) for at in _members(groups, rule.ordered)]
        runs = [(rule.ordered - b, rule.ordered - a) for a, b in runs] if rule.descending else runs
        named = [_interval(["", *cuts, ""], a, b) for a, b in runs]
        return _with_others(named, special, rule.missing, groups)
    named = [", ".join(c for b in at for c in rule.groups[b]) for at in _members(groups, rule.ordinary)]
    return _with_others(named, [], rule.missing, groups)


def names_of_shape(shape: ColumnShape, groups: I64) -> list[str]:
    """What is in each joined bin of a partner's column: as it tells, or numbers of fine bins."""
    if shape.rule is not None:
        return names_of_rule(shape.rule, groups)
    special = [f"special value {k + 1}" for k in range(shape.special)]
    named = [_numbers(at) for at in _members(groups, shape.ordinary - shape.special)]
    return _with_others(named, special, shape.missing, groups)


def _interval(ends: Sequence[str], a: int, b: int) -> str:
    """From one end to another, of which the outer ones are no numbers."""
    if not ends[a] and not ends[b]:
        return "any number"
    if not ends[a]:
        return f"x < {ends[b]}"
    return f"{ends[a]} ≤ x < {ends[b]}" if ends[b] else f"x ≥ {ends[a]}"


def _members(groups: I64, ordered: int) -> list[list[int]]:
    """The fine bins in each joined bin of the ordered ones."""
    return [np.flatnonzero(groups[:ordered] == g).tolist() for g in range(int(groups[:ordered].max()) + 1)]


def _with_others(named: list[str], special: list[str], missing: bool, groups: I64) -> list[str]:
    names = [*named, *special, *([MISSING] if missing else [])]
    return [*names, *[NOT_HELD] * (int(groups.max()) + 1 - len(names))]


def _numbers(bins: list[int]) -> str:
    """bin 3; bins 3 to 5; bins 1, 4."""
    names = [str(b + 1) for b in bins]
    if len(names) == 1:
        return f"bin {names[0]}"
    run = bins[-1] - bins[0] == len(bins) - 1
    return f"bins {names[0]} to {names[-1]}" if run else f"bins {', '.join(names)}"
