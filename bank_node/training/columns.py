"""Before any model is trained: the bank's views of the partners' bins, and what is dropped of its own columns."""

import logging
from dataclasses import replace
from pathlib import Path

from bank_node.family.columns import own_columns
from bank_node.family.training import Training
from bank_node.partners.known_splits import load_known, save_known
from bank_node.partners.partner_view import PartnerView
from bank_node.partners.sessions import PartnerSessions
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.binning import Cutting
from protocol.files import file_named
from protocol.job.workload import workload

_LOG = logging.getLogger(__name__)


def open_views(training: Training, folder: Path) -> None:
    """A view of every partner for every way of binning. What was known when the job began is what it begins with."""
    for partner, alignment in training.alignments.items():
        for cutting in workload(training.job, partner).cuttings:
            training.views[partner, cutting] = _view(training.sessions, partner, alignment, cutting, folder)


def _view(
    sessions: PartnerSessions, partner: str, alignment: BankAlignment, cutting: Cutting, folder: Path
) -> PartnerView:
    view = sessions.view(partner, alignment, cutting)
    at_start = file_named(folder, view.layout, ".npz", partner)
    if not at_start.exists():
        save_known(at_start, view.known)
    return replace(view, known=load_known(at_start, view.known.rows))


def say_dropped(training: Training) -> None:
    """Log each of the bank's columns that a model will do without, and why, before any is trained."""
    said: set[tuple[str, str]] = set()
    for cutting in dict.fromkeys(model.cutting(training.job) for model in training.job.models):
        own_columns(training, cutting)
        said |= training.dropped[training.table.party].items()
    for name, reason in sorted(said):
        _LOG.warning("%s drops column %r: %s", training.table.party, name, reason)
