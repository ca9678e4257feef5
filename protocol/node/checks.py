"""The checks of a node's doctor that need no peer: its table and its certificate."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from protocol.errors import UsageError
from protocol.identity import describe, load_identity
from protocol.node.findings import Finding, checked
from protocol.node.footprint import Footprint, disk_free_mib, memory_available_mib
from protocol.node.settings import NodeSettings
from protocol.table import Table, read_table
from protocol.table.notes import Note

DAYS_LEFT: Final = 30
"""Of a certificate; a doctor warns below."""
SKEW_S: Final = 5.0
"""Between two clocks; a doctor warns above."""


def check_own(settings: NodeSettings) -> tuple[list[Finding], Table | None]:
    """One finding a check, and the table if it can be read."""
    tables: list[Table] = []

    def table() -> str:
        tables.append(read_table(settings.data.source, settings.data, settings.party))
        return f"{tables[0].rows:,} rows, {len(tables[0].columns)} columns"

    findings = [checked(settings.party, "table", table)]
    findings += [_reading(settings.party, note) for note in (tables[0].reading if tables else ())]
    return [*findings, _certificate(settings)], tables[0] if tables else None


def _reading(party: str, note: Note) -> Finding:
    """How a column was read; ids that were likely shortened are a warning."""
    return Finding(party, "reading", note.fact, note.remedy, warning=bool(note.remedy))


def check_clock(party: str, us: str, skew_s: float) -> Finding:
    """The clock of a party, by seconds ahead of ours. Certificates and dates in ledgers rest on it."""
    far = abs(skew_s) > SKEW_S
    thing = f"{abs(skew_s):.2f} s {'ahead of' if skew_s > 0 else 'behind'} {us}'s"
    return Finding(party, "clock", thing, "set both clocks by one time service" if far else "", warning=far)


def check_footprint(settings: NodeSettings, needed: Footprint) -> Finding:
    """Whether this machine has the memory and disk that a job needs, about."""
    memory, disk = memory_available_mib(), disk_free_mib(settings.state)
    thing = f"memory {needed.memory_mib:,} MiB of {'?' if memory is None else f'{memory:,}'} available, "
    thing += f"disk {needed.disk_mib:,} MiB of {disk:,} free, at most"
    short = (memory is not None and needed.memory_mib > memory) or needed.disk_mib > disk
    remedy = "free some, or ask for fewer bins, columns or trees" if short else ""
    return Finding(settings.party, "job", thing, remedy, UsageError.exit_code if needed.disk_mib > disk else 0, short)


def _certificate(settings: NodeSettings) -> Finding:
    """In date, and for how long; a demonstration's lasts a day, and says so."""
    warned = False

    def certificate() -> str:
        nonlocal warned
        about = describe(load_identity(settings.identity, settings.party, demo=settings.demo).cert_pem)
        left = (datetime.fromisoformat(about["not_after"]) - datetime.now(UTC)).days
        warned = left < DAYS_LEFT and not about["demo"]
        return f"valid until {about['not_after']}, {left} days" + (" (demonstration)" if about["demo"] else "")

    found = checked(settings.party, "certificate", certificate)
    renew = "have it renewed: docs/operations.md, Keys and certificates"
    return replace(found, remedy=renew, warning=True) if warned else found
