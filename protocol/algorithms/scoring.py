"""Scoring: new rows of the bank through a model whose partner splits are handles.

    bank                                         partner
     |   aligns the new rows (protocol/algorithms/alignment.py)
     |-- ScoringQuery (alignment, model) ---------->|  applies the thresholds behind the model's handles
     |<- ScoringBits (left, missing, a handle) -----|  to every row of the row space
     |   walks the trees

What each learns beyond the scores: the bank, the bits of the model's splits for the rows that it aligned, those of
all other rows being sealed (sealing.py); the partner, how many rows are scored (from the alignment), and by which
model.
Each scoring of an alignment by another model is one of its `score_releases`; the same once more is free.
The splits of a model were revealed in its training: on the same table the partner's information budget is not
touched; on another table they count anew.
"""

from protocol.algorithms.boosting import SplitBits
from protocol.messages import Message, declared


@declared(
    "scoring.query",
    content="an alignment; of the model its digest and the alignment that it was trained on",
    purpose="score rows by a model trained before",
)
class ScoringQuery(Message, frozen=True, omit_defaults=True):
    """The bank asks for the bits behind a model's handles. alignment: of the rows to score. trained: of the model.

    group: of the masks under which partial scores of a linear model are to be hidden, or "" (masks.py).
    """

    alignment: str
    model: str
    trained: str
    group: str = ""


@declared(
    "scoring.bits",
    content="left, right or missing, of every row of the row space, for each split of the model, sealed so that the "
    "bank reads matched rows alone",
    purpose="score rows by a model trained before",
)
class ScoringBits(Message, frozen=True):
    """A pair of bits a row, a handle, in order of the handles."""

    bits: tuple[SplitBits, ...]
    information_share: float
