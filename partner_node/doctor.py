"""`partner-node doctor`: is everything in place to serve?"""

from partner_node.config import PartnerConfig
from protocol.findings import Finding, checked
from protocol.identity import describe, load_identity
from protocol.table import read_table


def examine(config: PartnerConfig) -> list[Finding]:
    """One finding a check: table, certificate."""
    return [
        checked(config.party, "table", lambda: _table(config)),
        checked(config.party, "certificate", lambda: _certificate(config)),
    ]


def _table(config: PartnerConfig) -> str:
    table = read_table(config.data.source, config.data, config.party)
    return f"{table.rows:,} rows, {len(table.columns)} columns"


def _certificate(config: PartnerConfig) -> str:
    about = describe(load_identity(config.identity, config.party, demo=config.demo).cert_pem)
    return f"valid until {about['not_after']}" + (" (demonstration)" if about["demo"] else "")
