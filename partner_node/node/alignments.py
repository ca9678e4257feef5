"""Alignments: the one under way, and those that are kept."""

from pathlib import Path

import numpy as np

from partner_node.algorithms.alignment import AlignmentAnswerer, dated_records
from partner_node.node.holdings import Holdings
from protocol.algorithms import alignment
from protocol.algorithms.alignment import PartnerAlignment
from protocol.node.files import own_folder


class Alignments:
    """answerer: the role that aligns; it keeps what it has finished here. rows: of the longest row space so far."""

    def __init__(self, own: Holdings) -> None:
        config = own.config
        self._folder, self._party = config.state / "alignments", config.party
        ids, dated = dated_records(own.table, config.grid)
        self.rows = max([len(ids), *(_length(path) for path in self._folder.glob("*.npz"))])
        self.answerer = AlignmentAnswerer(
            config.party, config.bank, config.alignment, len(config.data.id), ids, self._keep, dated=dated
        )

    def find(self, name: str) -> PartnerAlignment:
        """A kept alignment. Raises: DataError: none of that name."""
        known = name if name.isalnum() else "none"
        found = alignment.load(PartnerAlignment, self._folder / f"{known}.npz", self._party)
        self.rows = max(self.rows, len(found.order))
        return found

    def _keep(self, finished: PartnerAlignment) -> None:
        self.rows = max(self.rows, len(finished.order))
        alignment.save(finished, own_folder(self._folder) / f"{finished.alignment}.npz")


def _length(path: Path) -> int:
    """Of the row space of a kept alignment; 0 of a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return len(kept["order"])
    except (OSError, ValueError, KeyError):
        return 0
