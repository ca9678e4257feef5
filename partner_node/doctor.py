"""`partner-node doctor`: is everything in place to serve? And what the bank's doctor has told last."""

from datetime import UTC, datetime

import msgspec

from partner_node.algorithms.checkup import CHECKUP, BankSeen
from partner_node.config import PartnerConfig
from protocol.algorithms.checkup import differences, formats_of
from protocol.errors import DataError
from protocol.job import Job
from protocol.job.workload import workload
from protocol.node.checks import check_clock, check_footprint, check_own
from protocol.node.findings import Finding
from protocol.node.footprint import at_partner
from protocol.table import Table


def examine(config: PartnerConfig, job: Job | None) -> list[Finding]:
    """One finding a check: table, certificate; clock and ids, as the bank's doctor told them; the job's needs."""
    findings, table = check_own(config)
    if table is None:
        return findings
    path = config.state / CHECKUP
    if path.exists():
        findings += _bank_seen(config, table, msgspec.json.decode(path.read_bytes(), type=BankSeen))
    else:
        findings.append(Finding(config.bank, "node", "its doctor has not been here yet", "ask it to run its doctor"))
    if job is not None:
        findings.append(
            check_footprint(config, at_partner(table.rows, len(table.columns), workload(job, config.party)))
        )
    return findings


def _bank_seen(config: PartnerConfig, table: Table, seen: BankSeen) -> list[Finding]:
    at = datetime.fromtimestamp(seen.at_s, UTC).isoformat(timespec="minutes")
    differ = differences(formats_of(table.entity_ids), seen.formats, config.party, config.bank)
    thing, remedy = differ[0] if differ else ("are written as ours are", "")
    return [
        Finding(config.bank, "node", f"its doctor was here at {at}"),
        check_clock(config.bank, config.party, -seen.skew_s),
        Finding(config.bank, "ids", thing, remedy, DataError.exit_code if differ else 0),
    ]
