"""The table in bins, cut once for every way of binning; where a node is made anew again and again, kept on disk."""

from dataclasses import replace
from functools import partial

import msgspec

from partner_node.algorithms.binning import BinnedTable, bin_table
from partner_node.config import PartnerConfig
from partner_node.kept.bins import kept_bins
from partner_node.node.agreement import Agreement
from partner_node.node.holdings import Holdings
from protocol.algorithms.binning import Cutting
from protocol.errors import DataError
from protocol.he.streams import digest


def as_told(config: PartnerConfig, table: BinnedTable) -> BinnedTable:
    """The table with what the settings say: names and bins that the bank is told, and how columns are prepared."""
    policy = config.policy
    return replace(table, told_as=policy.names, told_bins=frozenset(policy.tell_bins), prepare=config.data.prepare)


def require_rows(party: str, rows: int, min_rows: int) -> None:
    """Raises: DataError: a table has not rows enough for two bins."""
    if rows < 2 * min_rows:
        thing = f"its table has {rows:,} rows; a bin needs {min_rows}, and a column two bins"
        raise DataError(party, thing, "give a table with more rows, or agree on a smaller min_rows_per_bin")


class Bins:
    """By cutting, and the contract's smallest bin."""

    def __init__(self, own: Holdings, agreement: Agreement) -> None:
        self._own, self._agreement = own, agreement
        self._binned: dict[tuple[Cutting, int], BinnedTable] = {}

    def of(self, cutting: Cutting) -> BinnedTable:
        """The table so cut. Raises: DataError: no column has two bins."""
        key = cutting, self._agreement.contract.min_rows_per_bin
        if key not in self._binned:
            self._binned[key] = as_told(self._own.config, self._cut(*key))
        return self._binned[key]

    def _cut(self, cutting: Cutting, min_rows: int) -> BinnedTable:
        own, data = self._own, self._own.config.data
        require_rows(own.config.party, own.table.rows, min_rows)
        make = partial(bin_table, own.config.party, own.table.columns, cutting, min_rows, data.monotone)
        if own.cache is None:
            return make()
        how = msgspec.json.encode((cutting, min_rows)), data.model_dump_json(exclude={"source"}).encode()
        key = digest(b"fedwarn.v1 bins", own.table.sha256.encode(), *how)
        return replace(kept_bins(own.cache, key.hex(), make), preparation=cutting.preparation)
