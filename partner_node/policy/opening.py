"""Opening a node's budgets: under its key, with its books, its noise epochs wrapped by a key outside of backups."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from partner_node.config import PartnerConfig
from partner_node.policy.budgets import Budgets
from partner_node.policy.policy import APPROVALS, Approvals
from protocol.files import kept_key, own_folder
from protocol.node.keys import keeper_of


def open_budgets(config: PartnerConfig) -> Budgets:
    """Open the node's budgets and books.

    Books that are missing although a job was approved were lost: the node answers nothing before
    `recover`. Noise epochs older than `audit_days` are erased.
    Raises: UsageError: a file or a folder cannot be used.
    """
    state = own_folder(config.state)
    path, key = state / "budgets.sqlite", kept_key(state / "partner.key")
    approved, keeper = _approved_before(state / APPROVALS, config.party), keeper_of(config.party, config.secrets)
    budgets = Budgets(path, config.party, key, config.anchor, keeper, lost=approved)
    erase_old_epochs(budgets, config.audit_days)
    return budgets


def erase_old_epochs(budgets: Budgets, audit_days: int) -> int:
    """Erase the noise epochs of runs that were opened more than `audit_days` ago; how many runs that closes."""
    oldest = datetime.now(UTC) - timedelta(days=audit_days)
    return budgets.close_runs(oldest.isoformat(timespec="seconds"))


def _approved_before(path: Path, party: str) -> bool:
    """Whether a person has ever approved a job here; `approve --list` alone makes the file, and no books."""
    if not path.exists():
        return False
    with closing(Approvals(path, party)) as approvals:
        return any(listed.approval for listed in approvals.all())
