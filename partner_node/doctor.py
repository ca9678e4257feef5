"""`partner-node doctor`: is everything in place to serve?"""

from partner_node.config import PartnerConfig
from protocol.findings import Finding
from protocol.node_checks import check_own


def examine(config: PartnerConfig) -> list[Finding]:
    """One finding a check: table, certificate."""
    return check_own(config)[0]
