"""The table in bins, cut once for every way of binning; where a node is made anew again and again, kept on disk."""

from dataclasses import replace
from functools import partial

import msgspec

from partner_node.algorithms.binning import BinnedTable, bin_table
from partner_node.kept.bins import kept_bins
from partner_node.node.agreement import Agreement
from partner_node.node.holdings import Holdings
from protocol.algorithms.binning import Cutting
from protocol.he.streams import digest


class Bins:
    """By cutting, and the contract's smallest bin."""

    def __init__(self, own: Holdings, agreement: Agreement) -> None:
        self._own, self._agreement = own, agreement
        self._binned: dict[tuple[Cutting, int], BinnedTable] = {}

    def of(self, cutting: Cutting) -> BinnedTable:
        """The table so cut. Raises: DataError: no column has two bins."""
        key = cutting, self._agreement.contract.min_rows_per_bin
        if key not in self._binned:
            data, policy = self._own.config.data, self._own.config.policy
            self._binned[key] = replace(
                self._cut(*key), told_as=policy.names, told_bins=frozenset(policy.tell_bins), prepare=data.prepare
            )
        return self._binned[key]

    def _cut(self, cutting: Cutting, min_rows: int) -> BinnedTable:
        own, data = self._own, self._own.config.data
        make = partial(bin_table, own.config.party, own.table.columns, cutting, min_rows, data.monotone)
        if own.cache is None:
            return make()
        how = msgspec.json.encode((cutting, min_rows)), data.model_dump_json(exclude={"source"}).encode()
        key = digest(b"fedwarn.v1 bins", own.table.sha256.encode(), *how)
        return kept_bins(own.cache, key.hex(), make)
