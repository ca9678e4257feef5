"""Points in time: the dates of records, the grid of periods on which a partner lays its records out, the lookup.

A row of a dated job is named by (id, as_of), and a partner answers from its latest record not after as_of. Three
rules keep the future out, whatever the dates:

1. a date is the first moment of its day, so that a record of 15:00 comes after the date of the same day;
2. a row of the bank stands at the latest point of the grid not after its as_of;
3. a point shows the latest record not after the point.

So record <= point <= as_of. `latest` is the only place where a record is chosen.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from protocol.errors import DataError
from protocol.messages import I64

Moments = npt.NDArray[np.datetime64]
"""Shape (n,), in microseconds, without a zone."""

Period = Literal["day", "week", "month", "quarter", "year"]
EXACT: Final = "exact dates"
"""What two nodes agree on in place of a grid, where the partner is sent the dates (alignment `shared`)."""

_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Grid:
    """Points in time, the same at both nodes. first, last: its first point, and the day after which it has none.

    Months are counted from `first`; where that is the last day of its month, every point is.
    """

    period: Period
    first: dt.date
    last: dt.date

    @property
    def text(self) -> str:
        """As the nodes compare it."""
        return f"{self.period} {self.first.isoformat()} {self.last.isoformat()}"

    @property
    def points(self) -> Moments:
        """All points, in order."""
        first = np.datetime64(self.first, "D")
        last = np.datetime64(self.last, "D")
        if self.period in _DAYS:
            return np.arange(first, last + 1, _DAYS[self.period]).astype("datetime64[us]")
        month = first.astype("datetime64[M]")
        months = np.arange(month, last.astype("datetime64[M]") + 1, _MONTHS[self.period])
        ends = (months + 1).astype("datetime64[D]") - 1
        days = months.astype("datetime64[D]") + (first - month.astype("datetime64[D]"))
        at_end = first == ends[0]
        points = ends if at_end else np.minimum(days, ends)
        return points[points <= last].astype("datetime64[us]")

    def places(self, as_of: Moments) -> I64:
        """The point at which each row stands: the latest not after it; -1 before the first, shape (n,)."""
        return np.searchsorted(self.points, as_of, side="right").astype(np.int64) - 1


class Periods(BaseModel):
    """The grid in a file of settings. period: "" for none named. first, last: dates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Period | Literal[""] = ""
    first: dt.date | None = None
    last: dt.date | None = None

    @property
    def grid(self) -> Grid | None:
        """The grid, where both its ends are named."""
        if self.first is None or self.last is None:
            return None
        return Grid(self.period or "month", self.first, self.last)

    def wrong_grid(self) -> str:
        """What is wrong with these keys, "" if nothing is."""
        if (self.first is None) != (self.last is None):
            return "first and last come together"
        if self.first and self.last and self.first > self.last:
            return "first is later than last"
        return ""


def latest(codes: I64, moments: Moments, asked: I64, at: Moments) -> I64:
    """The latest record of an entity not after a moment: its row, -1 if there is none, shape (k,).

    codes, moments: entity and date of each record, shape (n,). asked, at: entity and moment asked for, shape (k,).
    """
    times = np.unique(moments)
    width = len(times) + 1
    keys = codes * width + np.searchsorted(times, moments, side="right")
    order = np.argsort(keys, kind="stable")
    last = np.searchsorted(keys[order], asked * width + np.searchsorted(times, at, side="right"), side="right") - 1
    found = order[np.maximum(last, 0)].astype(np.int64)
    return np.where((last >= 0) & (codes[found] == asked), found, np.int64(-1))


def lay_out(entities: Sequence[bytes], as_of: Moments, grid: Grid) -> tuple[list[bytes], I64]:
    """A partner's records on the grid: one key an id and point at which it has a record, and the record's row.

    entities, as_of: id and date of each record.
    """
    names, codes = coded(entities)
    points = grid.points
    asked = np.repeat(np.arange(len(names), dtype=np.int64), len(points))
    rows = latest(codes, as_of, asked, np.tile(points, len(names)))
    held = np.flatnonzero(rows >= 0)
    endings = [b"|" + text.encode() for text in date_texts(points)]
    keys = [names[k // len(points)] + endings[k % len(points)] for k in held.tolist()]
    return keys, rows[held]


def grid_keys(entities: Sequence[bytes], as_of: Moments, grid: Grid, party: str) -> list[bytes]:
    """The key on the grid of each of the bank's rows.

    Raises: DataError: a row lies outside of the grid; two rows of one id stand at one point.
    """
    points, places = grid.points, grid.places(as_of)
    last_day = np.datetime64(grid.last, "D").astype("datetime64[us]") + np.timedelta64(1, "D")
    outside = int(((places < 0) | (as_of >= last_day)).sum())
    if outside:
        thing = f"has {outside} rows dated outside of {grid.first} to {grid.last}"
        raise DataError(party, thing, "set first and last under [data] so that they span every as_of, at both nodes")
    endings = [b"|" + text.encode() for text in date_texts(points)]
    keys = [entity + endings[place] for entity, place in zip(entities, places.tolist(), strict=True)]
    twice = len(keys) - len(set(keys))
    if twice:
        raise rows_at_one_point(twice, grid, party)
    return keys


def rows_at_one_point(twice: int, grid: Grid, party: str) -> DataError:
    """The error of rows of one id that stand at one point of the grid. twice: rows after the first."""
    thing = f"has {twice} further rows of an id in one {grid.period}"
    return DataError(party, thing, 'set a shorter period under [data], or alignment "shared"')


def coded(entities: Sequence[bytes]) -> tuple[list[bytes], I64]:
    """The entities, sorted, each once; and for each row which of them it is, shape (n,)."""
    names = sorted(set(entities))
    code_of = {name: code for code, name in enumerate(names)}
    return names, np.fromiter((code_of[e] for e in entities), dtype=np.int64, count=len(entities))


def date_texts(moments: Moments) -> list[str]:
    """Moments as they stand in keys: a date alone where it is the first moment of its day."""
    texts: list[str] = np.datetime_as_string(moments, unit="us").tolist()
    return [text.removesuffix(".000000").removesuffix("T00:00:00") for text in texts]


def require_not_after(as_of: Moments, snapshot: dt.date | None, party: str, where: str) -> None:
    """Records cannot be dated after the day on which they were drawn. Raises: DataError."""
    if snapshot is None:
        return
    late = int((as_of >= np.datetime64(snapshot, "D").astype("datetime64[us]") + np.timedelta64(1, "D")).sum())
    if late:
        thing = f"{where} has {late} records dated after its snapshot of {snapshot}"
        raise DataError(party, thing, "correct the dates or the snapshot: a record from the future would be looked at")
