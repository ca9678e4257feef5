"""The checks of a node's doctor that need no peer: its table and its certificate."""

from protocol.findings import Finding, checked
from protocol.identity import describe, load_identity
from protocol.node_settings import NodeSettings
from protocol.table import Table, read_table


def check_own(settings: NodeSettings) -> tuple[list[Finding], Table | None]:
    """One finding a check, and the table if it can be read."""
    tables: list[Table] = []

    def table() -> str:
        tables.append(read_table(settings.data.source, settings.data, settings.party))
        return f"{tables[0].rows:,} rows, {len(tables[0].columns)} columns"

    def certificate() -> str:
        about = describe(load_identity(settings.identity, settings.party, demo=settings.demo).cert_pem)
        return f"valid until {about['not_after']}" + (" (demonstration)" if about["demo"] else "")

    findings = [checked(settings.party, "table", table), checked(settings.party, "certificate", certificate)]
    return findings, tables[0] if tables else None
