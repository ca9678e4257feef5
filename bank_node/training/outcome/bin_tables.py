"""Bin tables of the report: each column's bins by name, with goods, bads, WOE, IV and KS, strongest column first."""

from collections.abc import Iterable, Mapping, Sequence

from bank_node.family.bank_columns import BankColumns
from bank_node.family.bin_names import name_of, names_of_rule, names_of_shape
from bank_node.linear.coarse_classing import joined_bins
from bank_node.partners.partner_view import PartnerView
from bank_node.record.facts import Bin, BinTable
from protocol.algorithms.binning import shape_of
from protocol.algorithms.woe import Evidence
from protocol.job import Binning


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
