"""Tables of several parties in one place: which of a partner's rows stands behind each of the bank's."""

from bisect import bisect_right
from collections import defaultdict

import numpy as np

from protocol.messages import I64
from protocol.table import Table
from protocol.table.dates import Grid


def rows_behind(table: Table, theirs: Table, grid: Grid | None) -> I64:
    """The partner's row that stands behind each of the bank's, -1 for none: of one id, or its latest record in time.

    With a grid the time is its latest point not after the row's date; without one, the date itself.
    """
    if table.as_of is None or theirs.as_of is None:
        at = {name: row for row, name in enumerate(theirs.ids)}
        return np.array([at.get(name, -1) for name in table.ids])
    times = table.as_of if grid is None else grid.points[grid.places(table.as_of)]
    records: dict[bytes, list[tuple[np.datetime64, int]]] = defaultdict(list)
    for row in np.argsort(theirs.as_of, kind="stable").tolist():
        records[theirs.entities[row]].append((theirs.as_of[row], row))
    return np.array([_latest(records[who], time) for who, time in zip(table.entities, times, strict=True)])


def _latest(records: list[tuple[np.datetime64, int]], time: np.datetime64) -> int:
    """The row of the last of these records, which are in order of time, not after a time; -1 if there is none."""
    after = bisect_right(records, time, key=lambda record: record[0])
    return records[after - 1][1] if after else -1
