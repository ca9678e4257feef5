"""What a doctor finds: each finding names the party, the thing, whether it is well, and the remedy."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from protocol.errors import FedwarnError


@dataclass(frozen=True)
class Finding:
    """One check. code: 0 if well, else the exit code of the error. warning: well for now, but not good."""

    party: str
    check: str
    found: str
    remedy: str = ""
    code: int = 0
    warning: bool = False


def checked(party: str, check: str, work: Callable[[], str]) -> Finding:
    """The finding of a check that tells what it found, or raises."""
    try:
        return Finding(party, check, work())
    except FedwarnError as error:
        return Finding(error.party, check, error.thing, error.remedy, error.exit_code)


def worst(findings: Sequence[Finding]) -> int:
    """The exit code of the first finding that is not well, 0 if all are."""
    return next((finding.code for finding in findings if finding.code), 0)


def as_table(findings: Sequence[Finding]) -> Table:
    """For people."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("", "party", "check", "found", "remedy"):
        table.add_column(name)
    for f in findings:
        mark = Text("✗", "red") if f.code else Text("!", "yellow") if f.warning else Text("✓", "green")
        table.add_row(mark, f.party, f.check, f.found, f.remedy)
    return table


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """For --json."""
    return {"findings": [asdict(finding) for finding in findings], "exit_code": worst(findings)}
