"""Alignments: the one under way, and those that are kept."""

from dataclasses import replace
from pathlib import Path

from partner_node.algorithms.alignment import AlignmentAnswerer, dated_records
from partner_node.node.holdings import Holdings
from partner_node.node.register import Register, require_current
from protocol.algorithms import alignment
from protocol.algorithms.alignment import PartnerAlignment
from protocol.errors import ALIGN_ANEW, DataError
from protocol.files import file_named, opened_arrays


class Alignments:
    """answerer: the role that aligns; it keeps what it has finished here. rows: of the longest row space so far."""

    def __init__(self, own: Holdings) -> None:
        config = own.config
        self._folder, self._party, self._bank = config.state / "alignments", config.party, config.bank
        self._data, self.register = own.table.sha256, Register(own)
        ids, dated = dated_records(own.table, config.grid)
        self.rows = max([len(ids), *(_length(path) for path in self._folder.glob("*.npz"))])
        self.answerer = AlignmentAnswerer(
            config.party, config.bank, config.alignment, len(config.data.id), ids, self._keep, dated=dated
        )

    def find(self, name: str) -> PartnerAlignment:
        """A kept alignment.

        Raises: DataError: none of that name, or of another version of the table, whose rows its keys would seal
        otherwise. IntegrityError: it is no digest.
        """
        if name == self.register.name:
            require_current(self.register, self._party)
            return self.register.aligned
        found = alignment.load(PartnerAlignment, file_named(self._folder, name, ".npz", self._bank), self._party)
        if found.data not in ("", self._data):
            raise DataError(self._party, "has another version of its table than when it was aligned", ALIGN_ANEW)
        self.rows = max(self.rows, len(found.order))
        return found

    def bank_rows(self, name: str) -> int:
        """Rows that the bank declared for a kept alignment, of whatever version of the table."""
        path = file_named(self._folder, name, ".npz", self._bank)
        return alignment.load(PartnerAlignment, path, self._party).bank_rows

    def _keep(self, finished: PartnerAlignment) -> None:
        self.rows = max(self.rows, len(finished.order))
        finished = replace(finished, data=self._data)
        alignment.save(finished, file_named(self._folder, finished.alignment, ".npz", self._bank))


def _length(path: Path) -> int:
    """Of the row space of a kept alignment; 0 of a file that is none."""
    try:
        with opened_arrays(path) as kept:
            return len(kept["order"])
    except (OSError, ValueError, KeyError):
        return 0
