"""Events of some customers as arrays: codes of type, amount and gap, in order of time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from partner_node.encoders.event_base import EventBase
from partner_node.encoders.vocabulary import GAP_CUTS, Vocabulary
from protocol.messages import I64
from protocol.table.dates import Moments

LONGEST: Final = 64
"""Events that the network reads before a point: the latest ones."""
AMOUNT_BINS: Final = 10
"""0: the event has no amount; from 1 on the bins of its type, of which there are at most eight."""
GAP_BINS: Final = len(GAP_CUTS) + 2
"""0: there is no event before it."""

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """Events of k points, one after another. starts: shape (k + 1,). Of each event: kind, amount and gap, in codes.

    entities, at: customer and point, shape (k,). gaps: seconds from the event before, -1 at the first, shape (events,).
    left: seconds from the last event to the point, shape (k,).
    """

    entities: I64
    at: Moments
    starts: I64
    kind: Codes
    amount: Codes
    gaps: I64
    left: I64

    @cached_property
    def gap(self) -> Codes:
        """Bins of the gaps."""
        return gap_bins(self.gaps)

    def __len__(self) -> int:
        return len(self.entities)

    def split(self, rows: int) -> list["Sequences"]:
        """The same points, so many at a time."""
        return [self._range(low, min(low + rows, len(self))) for low in range(0, len(self), rows)]

    def _range(self, low: int, high: int) -> "Sequences":
        begin, end = int(self.starts[low]), int(self.starts[high])
        return Sequences(
            self.entities[low:high], self.at[low:high], self.starts[low : high + 1] - begin, self.kind[begin:end],
            self.amount[begin:end], self.gaps[begin:end], self.left[low:high],
        )  # fmt: skip

    def pieces(self, first: I64, length: I64, left: I64) -> "Sequences":
        """Parts of the sequences as sequences of their own, shape (k,) each: where they begin, their events, and the
        seconds from the last of them to the moment at which they are looked at."""
        starts = np.concatenate(([0], np.cumsum(length))).astype(np.int64)
        where = np.arange(starts[-1]) + np.repeat(first - starts[:-1], length)
        gaps = self.gaps[where]
        gaps[starts[:-1]] = -1
        at = np.zeros(len(first), dtype="datetime64[us]")
        return Sequences(np.arange(len(first)), at, starts, self.kind[where], self.amount[where], gaps, left)


def gap_bins(gaps: I64) -> Codes:
    """1 and up for seconds between two events; 0 for -1, where there is no event before."""
    return np.where(gaps < 0, 0, np.searchsorted(GAP_CUTS, gaps, side="right") + 1).astype(np.int64)


def read_sequences(events: EventBase, vocabulary: Vocabulary, chosen: str, longest: int = LONGEST) -> Sequences:
    """The latest events up to each point that a query of (entity, point) gives, in its order of entity and point."""
    rows = events.base.execute(
        f"SELECT entity, point, code, amount, gap, epoch(point)::BIGINT - epoch(t)::BIGINT AS ago FROM ("
        "SELECT a.entity, a.point, e.t, e.code, e.amount, e.gap, "
        "row_number() OVER (PARTITION BY a.entity, a.point ORDER BY e.t DESC, e.code DESC, e.amount DESC) AS back "
        f"FROM ({chosen}) a JOIN (SELECT * FROM events WHERE entity IN (SELECT entity FROM ({chosen}))) e "
        f"ON e.entity = a.entity AND e.t <= a.point) WHERE back <= {longest} ORDER BY entity, point, back DESC"
    ).fetchnumpy()
    entity, point = _filled(rows["entity"]), rows["point"].astype("datetime64[us]").astype(np.int64)
    begins = np.flatnonzero(
        np.concatenate(([True], (np.diff(entity) != 0) | (np.diff(point) != 0))) if len(entity) else []
    )
    ends = np.concatenate((begins[1:], [len(entity)])).astype(np.int64)
    code = _filled(rows["code"])
    return Sequences(
        entities=entity[begins],
        at=rows["point"][begins].astype("datetime64[us]"),
        starts=np.concatenate((begins, [len(entity)])).astype(np.int64),
        kind=code,
        amount=_amount_bins(code, rows["amount"], vocabulary),
        gaps=_filled(rows["gap"]),
        left=_filled(rows["ago"])[ends - 1] if len(begins) else np.zeros(0, dtype=np.int64),
    )


def _filled(values: Any) -> I64:
    """Whole numbers, -1 where there is none."""
    return np.ma.filled(np.ma.asarray(values).astype(np.int64), -1)


def _amount_bins(code: I64, amount: Any, vocabulary: Vocabulary) -> Codes:
    values, empty = np.ma.getdata(np.ma.asarray(amount)), np.ma.getmaskarray(np.ma.asarray(amount))
    bins = np.zeros(len(code), dtype=np.int64)
    for k, cuts in enumerate(vocabulary.cuts):
        of_kind = code == k
        bins[of_kind] = np.searchsorted(np.array(cuts, dtype=np.int64), values[of_kind], side="right") + 1
    return np.where(empty, 0, bins)
