"""`bank-node doctor`: is everything in place for a run? Nothing is trained, and nothing leaves but a greeting."""

from functools import partial

from bank_node.config import BankConfig
from bank_node.connect import connected
from protocol.findings import Finding, checked
from protocol.identity import describe, load_identity
from protocol.table import Table, read_table

DOCTOR_JOB = "doctor"


def examine(config: BankConfig) -> list[Finding]:
    """One finding a check: the own table and certificate, then every partner."""
    tables: list[Table] = []

    def own_table() -> str:
        tables.append(read_table(config.data.source, config.data, config.party))
        return f"{tables[0].rows:,} rows, {len(tables[0].columns)} columns"

    findings = [checked(config.party, "table", own_table), checked(config.party, "certificate", lambda: _own(config))]
    if not findings[1].code and tables:
        for partner in config.partners:
            findings.append(checked(partner, "node", partial(_partner, config, tables[0], partner)))
    return findings


def _own(config: BankConfig) -> str:
    about = describe(load_identity(config.identity, config.party, demo=config.demo).cert_pem)
    return f"valid until {about['not_after']}" + (" (demonstration)" if about["demo"] else "")


def _partner(config: BankConfig, table: Table, partner: str) -> str:
    """Greets one partner: reaches it, and compares versions and settings."""
    alone = config.model_copy(update={"partners": {partner: config.partners[partner]}, "patience_s": 0.0})
    with connected(alone, lambda phase, done, total: None) as node:
        welcome = node.greet(partner, table)
    return (
        f"answers, {welcome.terms.software}, {welcome.rows:,} rows, {welcome.columns} columns, {welcome.terms.engine}"
    )
