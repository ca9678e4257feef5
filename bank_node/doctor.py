"""`bank-node doctor`: is everything in place for a run? Nothing is trained, and nothing leaves but a greeting."""

from functools import partial

from bank_node.config import BankConfig
from bank_node.connect import connected
from protocol.findings import Finding, checked, worst
from protocol.node_checks import check_own
from protocol.table import Table


def examine(config: BankConfig) -> list[Finding]:
    """One finding a check: the own table and certificate, then, if both are well, every partner."""
    findings, table = check_own(config)
    if table is not None and not worst(findings):
        for partner in config.partners:
            findings.append(checked(partner, "node", partial(_partner, config, table, partner)))
    return findings


def _partner(config: BankConfig, table: Table, partner: str) -> str:
    """Greets one partner: reaches it, and compares versions and settings."""
    alone = config.model_copy(update={"partners": {partner: config.partners[partner]}, "patience_s": 0.0})
    with connected(alone, lambda phase, done, total: None) as node:
        welcome = node.greet(partner, table)
    return (
        f"answers, {welcome.terms.software}, {welcome.rows:,} rows, {welcome.columns} columns, {welcome.terms.engine}"
    )
