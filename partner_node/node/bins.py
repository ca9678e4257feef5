"""The approved columns in bins, cut once for every cutting; a node that is made anew again and again keeps them."""

from dataclasses import replace

import msgspec

from partner_node.algorithms.binning import BinnedTable, bin_table
from partner_node.config import PartnerConfig
from partner_node.node.agreement import Agreement
from partner_node.node.holdings import Holdings
from partner_node.store.bins import kept_bins
from protocol.algorithms.binning import Cutting
from protocol.contract import Contract
from protocol.errors import DataError
from protocol.he.streams import digest
from protocol.table import Table


def as_told(config: PartnerConfig, table: BinnedTable) -> BinnedTable:
    """The table with what the settings say: names and bins that the bank is told, and how columns are prepared."""
    policy = config.policy
    return replace(table, told_as=policy.names, told_bins=frozenset(policy.tell_bins), prepare=config.data.prepare)


def require_rows(party: str, rows: int, min_rows: int) -> None:
    """Raises: DataError: a table has not rows enough for two bins."""
    if rows < 2 * min_rows:
        thing = f"its table has {rows:,} rows; a bin needs {min_rows}, and a column two bins"
        raise DataError(party, thing, "give a table with more rows, or agree on a smaller min_rows_per_bin")


def cut_table(
    config: PartnerConfig, table: Table, cutting: Cutting, contract: Contract, features: tuple[str, ...] | None
) -> BinnedTable:
    """Bin the approved features over all rows of the table.

    Columns outside the approval keep their numbers, which are places in the table, and are neither binned nor listed
    as dropped. Every bin has the rows that the contract wants of a side of a split.

    Args:
        features: names of the approved features; None stands for all.
    Raises: DataError: no column has two bins, or the table has not rows enough for them.
    """
    require_rows(config.party, table.rows, contract.min_rows_per_bin)
    places = [j for j, column in enumerate(table.columns) if features is None or column.name in features]
    columns = [table.columns[j] for j in places]
    directions = {c.name: config.data.monotone[c.name] for c in columns if c.name in config.data.monotone}
    binned = bin_table(config.party, columns, cutting, contract.smallest_bin(table.rows), directions)
    numbers, dropped = (tuple(places[k] for k in numbers) for numbers in (binned.numbers, binned.dropped))
    return replace(binned, numbers=numbers, dropped=dropped)


class Bins:
    """Binned tables by cutting, the smallest bin that holds, and the approved features."""

    def __init__(self, own: Holdings, agreement: Agreement) -> None:
        self._own, self._agreement = own, agreement
        self._binned: dict[tuple[Cutting, int, tuple[str, ...] | None], BinnedTable] = {}

    def of(self, cutting: Cutting) -> BinnedTable:
        """The table so cut. Raises: DataError: no column has two bins."""
        key = cutting, self._agreement.contract.smallest_bin(self._own.table.rows), self._agreement.features
        if key not in self._binned:
            self._binned[key] = as_told(self._own.config, self._cut(*key))
        return self._binned[key]

    def _cut(self, cutting: Cutting, least: int, features: tuple[str, ...] | None) -> BinnedTable:
        own, data = self._own, self._own.config.data

        def make() -> BinnedTable:
            return cut_table(own.config, own.table, cutting, self._agreement.contract, features)

        if own.cache is None:
            return make()
        how = msgspec.json.encode((cutting, least, features)), data.model_dump_json(exclude={"source"}).encode()
        key = digest(b"fedwarn.v1 bins", own.table.sha256.encode(), *how)
        return replace(kept_bins(own.cache, key.hex(), make), preparation=cutting.preparation)
