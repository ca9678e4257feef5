"""Weight of evidence: how goods and bads divide over the bins of every party's columns.

    bank                                              partner
     |-- BinCountsQuery (sealed: rows, bads, tested) --->|  counts each a bin; learns none of them
     |<- BinCounts (sealed, exact) ----------------------|
     |   only if the contract says so:
     |-- InformationValues (of its columns, rounded) --->|  keeps them
     |<- Noted ------------------------------------------|

The bank reads the counts, and computes WOE, IV and KS from them. They carry no noise: a WOE that is off is of no
use in a scorecard. What each learns: the bank, the number of rows and of bads of the training part in every bin
(two equations a row, which the equation budget counts), and where the job selects columns, that of the test part (one
more); the partner, that it was asked. WOE does not go back; IV only rounded, where both contracts name
`max_iv_decimals`.

Source: Siddiqi, Credit Risk Scorecards (2006); the sign is that of docs/glossary.md, positive for a good bin.
"""

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from msgspec import Meta

from protocol.algorithms.runs import Label
from protocol.fields import Digest, require_array
from protocol.he.base import MOST_ARRAY, MOST_TEXT, Body, Cleartext, vectors_bytes
from protocol.he.plan import Bits
from protocol.messages import F64, I64, U64, Disclosure, Message, as_sent, declared

VECTORS: Final = ("rows", "bads", "tested")
"""What is counted a bin, by the name at the end of its vector's label."""

EMPTY: Final = 0.5
"""What stands for the count in a bin without goods or without bads, so that its WOE is finite (Siddiqi: adjusted)."""


@declared(
    "woe.query",
    content="which of the bank's rows are trained on, which of them are bad, which are tested; zero elsewhere",
    purpose="count goods and bads a bin",
    encrypted=True,
    most_bytes=lambda rows: MOST_TEXT + vectors_bytes(len(VECTORS), rows),
)
class BinCountsQuery(Message, frozen=True):
    """Two or three sealed vectors: 1 for a row trained on; for a bad one of them; for one tested.

    vectors: how many. bits: of every count, its sign included.
    """

    layout: Digest
    label: Label
    vectors: Annotated[int, Meta(ge=2, le=len(VECTORS))]
    bits: Bits
    body: Body

    @property
    def vector_labels(self) -> tuple[str, ...]:
        """A text a vector."""
        return vector_labels(self.label, self.vectors)

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, isinstance(self.body, Cleartext))


@declared(
    "woe.counts",
    content="rows a bin, exact: trained on, bad, tested",
    purpose="weight of evidence",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class BinCounts(Message, frozen=True):
    """The sealed counts, shape (2 or 3, R), uint64. plaintext: engine `plaintext`."""

    plaintext: bool
    sums: U64

    def __post_init__(self) -> None:
        require_array(self.sums, None, None)

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, self.plaintext)


@declared(
    "woe.values",
    content="information value of each of the partner's columns, rounded as the contract says",
    purpose="tell the partner what its columns are worth",
    most_bytes=MOST_TEXT,
)
class InformationValues(Message, frozen=True):
    """Of the columns of a layout, in order, as whole numbers of 10^-decimals."""

    layout: Digest
    decimals: Annotated[int, Meta(ge=0, le=9)]
    values: Annotated[tuple[Annotated[int, Meta(ge=-(10**12), le=10**12)], ...], Meta(max_length=1 << 16)]


@declared("woe.noted", content="that information values have come", purpose="tell the bank so")
class Noted(Message, frozen=True):
    """The partner has kept them."""

    layout: Digest


def vector_labels(label: Label, vectors: int) -> tuple[str, ...]:
    """A text for every vector that is counted under a label."""
    return tuple(f"{label.text}/{name}" for name in VECTORS[:vectors])


def bits_of_counts(rows: int) -> int:
    """The least bits that a count of so many rows fits, its sign included."""
    return rows.bit_length() + 1


@dataclass(frozen=True)
class Evidence:
    """One column by bin, in the order of its bins. rows, bads: counts, shape (k,). Bins without rows may occur."""

    rows: I64
    bads: I64

    def joined(self, groups: I64) -> "Evidence":
        """The same with bins put together. groups: number of the joined bin of each, from 0, shape (k,)."""
        rows, bads = np.zeros((2, int(groups.max()) + 1), dtype=np.int64)
        np.add.at(rows, groups, self.rows)
        np.add.at(bads, groups, self.bads)
        return Evidence(rows, bads)

    @property
    def goods(self) -> I64:
        """Rows that are not bad."""
        return self.rows - self.bads

    @property
    def woe(self) -> F64:
        """ln(share of all goods / share of all bads) a bin; 0 in a bin without rows; `EMPTY` stands for a zero."""
        goods, bads = self._shares()
        woe: F64 = np.where(self.rows > 0, np.log(goods / bads), 0.0)
        return woe

    @property
    def iv(self) -> float:
        """Information value: sum over bins of (share of goods - share of bads) * WOE."""
        return float(self.iv_by_bin.sum())

    @property
    def iv_by_bin(self) -> F64:
        """What each bin adds to the information value."""
        goods, bads = self._shares()
        added: F64 = np.where(self.rows > 0, goods - bads, 0.0) * self.woe
        return added

    @property
    def ks(self) -> F64:
        """Distance of the shares of goods and bads up to and with each bin, in the order given."""
        goods, bads = self.goods.cumsum(), self.bads.cumsum()
        distance: F64 = np.abs(goods / max(1, goods[-1]) - bads / max(1, bads[-1]))
        return distance

    def _shares(self) -> tuple[F64, F64]:
        return _share(self.goods), _share(self.bads)


def _share(counts: I64) -> F64:
    share: F64 = np.where(counts > 0, counts, EMPTY) / max(1, int(counts.sum()))
    return share
