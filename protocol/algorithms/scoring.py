"""Scoring: new rows of the bank through a model whose partner splits are handles.

    bank                                         partner
     |   aligns the new rows (protocol/algorithms/alignment.py)
     |-- ScoringQuery (alignment, pool, handles) -->|  applies the thresholds behind the handles
     |<- ScoringBits (left, missing, a handle) -----|  to every row of the row space
     |   walks the trees

What each learns beyond the scores: the bank, the bits of the splits that the model uses, for the rows that it aligned,
those of all other rows being sealed (sealing.py); the partner, how many rows are scored (from the alignment), and by
which thresholds of which pool. A model's own name means nothing to a partner. Each scoring of an alignment by other
handles or another pool is one of its `score_releases`; the same once more is free. The splits of a pool were revealed
in its training: on the same table the partner's information budget is not touched; on another table they count anew.
"""

from typing import Annotated, Final

from msgspec import Meta

from protocol.algorithms.boosting import SplitBits
from protocol.fields import Digest, DigestOrNone, Share
from protocol.he.base import MOST_ARRAY
from protocol.messages import Message, declared

MOST_HANDLES: Final = 1 << 16


@declared(
    "scoring.query",
    content="an alignment, and which thresholds of a pool, or coefficients, to apply",
    purpose="score rows by a model trained before",
)
class ScoringQuery(Message, frozen=True, omit_defaults=True):
    """The bank asks for the bits behind a model's handles. alignment: of the rows to score. pool: as `Kept` named it.

    handles: places in the pool of the splits that the model uses, ascending; none of a linear model.
    group: of the masks under which partial scores of a linear model are to be hidden, or "" (masks.py).
    """

    alignment: Digest
    pool: Digest
    handles: Annotated[tuple[Annotated[int, Meta(ge=0, lt=MOST_HANDLES)], ...], Meta(max_length=MOST_HANDLES)] = ()
    group: DigestOrNone = ""

    def __post_init__(self) -> None:
        if any(a >= b for a, b in zip(self.handles, self.handles[1:], strict=False)):
            raise ValueError("handles are distinct, in ascending order")


@declared(
    "scoring.bits",
    content="left, right or missing, of every row of the row space, for each split of the model, sealed so that the "
    "bank reads matched rows alone",
    purpose="score rows by a model trained before",
    most_bytes=MOST_ARRAY,
)
class ScoringBits(Message, frozen=True):
    """A pair of bits a row, a handle, in order of the handles."""

    bits: Annotated[tuple[SplitBits, ...], Meta(max_length=MOST_HANDLES)]
    information_share: Share
