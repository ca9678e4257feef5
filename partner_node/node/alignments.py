"""Alignments: the one under way, and those that are kept."""

from partner_node.algorithms.alignment import AlignmentAnswerer, dated_records
from partner_node.node.holdings import Holdings
from protocol.algorithms import alignment
from protocol.algorithms.alignment import PartnerAlignment
from protocol.node.files import own_folder


class Alignments:
    """answerer: the role that aligns; it keeps what it has finished here."""

    def __init__(self, own: Holdings) -> None:
        config = own.config
        self._folder, self._party = config.state / "alignments", config.party
        ids, dated = dated_records(own.table, config.grid)
        self.answerer = AlignmentAnswerer(
            config.party, config.bank, config.alignment, len(config.data.id), ids, self._keep, dated=dated
        )

    def find(self, name: str) -> PartnerAlignment:
        """A kept alignment. Raises: DataError: none of that name."""
        known = name if name.isalnum() else "none"
        return alignment.load(PartnerAlignment, self._folder / f"{known}.npz", self._party)

    def _keep(self, finished: PartnerAlignment) -> None:
        alignment.save(finished, own_folder(self._folder) / f"{finished.alignment}.npz")
