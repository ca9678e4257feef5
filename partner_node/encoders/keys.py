"""Which columns of an event table say what, and the points in time at which its customers are looked at."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocol.errors import UsageError
from protocol.table.dates import Grid, Moments

_FORMS: Final = (
    "write a date, several dates with commas between them, or PERIOD:FIRST:LAST as in month:2024-01-31:2024-06-30"
)
_PERIODS: Final = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True)
class EventKeys:
    """Columns of an event table. id: of the customer. kind, amount: "" where the table has none."""

    id: tuple[str, ...]
    time: str
    kind: str = ""
    amount: str = ""


def points_of(text: str, party: str) -> Moments:
    """The points in time that `--as-of` names, in order, shape (n,). Raises: UsageError."""
    try:
        named = re.split(r"[:\s]+", text.strip())
        if named[0] not in _PERIODS:
            return np.unique([np.datetime64(dt.date.fromisoformat(part.strip()), "us") for part in text.split(",")])
        period, first, last = named
        grid = Grid(period, dt.date.fromisoformat(first), dt.date.fromisoformat(last))  # type: ignore[arg-type]
    except ValueError:
        raise UsageError(party, f"--as-of {text!r} names no points in time", _FORMS) from None
    if grid.first > grid.last:
        raise UsageError(party, f"--as-of {text!r} has no points", "let LAST be later than FIRST")
    return grid.points


def moment(text: str, option: str, party: str) -> np.datetime64:
    """A date of an option. Raises: UsageError."""
    try:
        return np.datetime64(dt.date.fromisoformat(text), "us")
    except ValueError:
        raise UsageError(party, f"{option} {text!r} is no date", "write it as YYYY-MM-DD") from None
