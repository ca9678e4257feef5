"""Opening a node's budgets: under its key, with its books, its noise epochs wrapped by a key outside of backups."""

from datetime import UTC, datetime, timedelta

from partner_node.config import PartnerConfig
from partner_node.policy.budgets import Budgets
from partner_node.policy.policy import APPROVALS
from protocol.node.files import kept_key, own_folder
from protocol.node.keys import keeper_of


def open_budgets(config: PartnerConfig) -> Budgets:
    """The node's budgets and books. Books that are missing although jobs were approved were lost.

    Noise epochs of runs that were opened more than `audit_days` ago are erased. Raises: UsageError.
    """
    state = own_folder(config.state)
    path, key = state / "budgets.sqlite", kept_key(state / "partner.key")
    lost = not path.exists() and (state / APPROVALS).exists()
    budgets = Budgets(path, config.party, key, config.anchor, keeper_of(config.party, config.secrets), lost)
    oldest = datetime.now(UTC) - timedelta(days=config.audit_days)
    budgets.close_runs(oldest.isoformat(timespec="seconds"))
    return budgets
