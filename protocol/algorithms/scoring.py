"""Scoring: new rows of the bank through a model whose partner splits are handles.

    bank                                         partner
     |   aligns the new rows (protocol/algorithms/alignment.py)
     |-- ScoringQuery (alignment, pool) ----------->|  applies the thresholds of the pool
     |<- ScoringBits (left, missing, a handle) -----|  to every row of the row space
     |   walks the trees

What each learns beyond the scores: the bank, the bits of the pool's splits for the rows that it aligned, those of all
other rows being sealed (sealing.py); the partner, how many rows are scored (from the alignment), and by which pool of
thresholds. A model's own name means nothing to a partner. Each scoring of an alignment by another pool is one of its
`score_releases`; the same once more is free. The splits of a pool were revealed in its training: on the same table the
partner's information budget is not touched; on another table they count anew.
"""

from typing import Annotated

from msgspec import Meta

from protocol.algorithms.boosting import SplitBits
from protocol.fields import Digest, DigestOrNone, Share
from protocol.he.base import MOST_ARRAY
from protocol.messages import Message, declared


@declared(
    "scoring.query",
    content="an alignment, and the pool of thresholds or coefficients to apply",
    purpose="score rows by a model trained before",
)
class ScoringQuery(Message, frozen=True, omit_defaults=True):
    """The bank asks for the bits behind a model's handles. alignment: of the rows to score. pool: as `Kept` named it.

    group: of the masks under which partial scores of a linear model are to be hidden, or "" (masks.py).
    """

    alignment: Digest
    pool: Digest
    group: DigestOrNone = ""


@declared(
    "scoring.bits",
    content="left, right or missing, of every row of the row space, for each split of the model, sealed so that the "
    "bank reads matched rows alone",
    purpose="score rows by a model trained before",
    most_bytes=MOST_ARRAY,
)
class ScoringBits(Message, frozen=True):
    """A pair of bits a row, a handle, in order of the handles."""

    bits: Annotated[tuple[SplitBits, ...], Meta(max_length=1 << 16)]
    information_share: Share
