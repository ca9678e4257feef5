"""The partner's half of weight of evidence: exact counts a bin over sealed vectors, within the equation budget."""

import numpy as np

from partner_node.algorithms.boosting import BoostingAnswerer
from protocol.algorithms.woe import VECTORS, BinCounts, BinCountsQuery
from protocol.errors import IntegrityError
from protocol.he.base import Cleartext


def count_bins(answerer: BoostingAnswerer, query: BinCountsQuery) -> BinCounts:
    """Rows, bads, and perhaps tested rows a bin of every column; the budget is spent before they are computed.

    Raises: RefusedError: the equation budget. IntegrityError: labels of another job or layout.
    """
    state = answerer.state
    place = f"{state.job}/woe/{query.layout}"
    asked = tuple(f"{place}/{name}" for name in VECTORS[: len(query.labels)])
    if not state.job or len(asked) < 2 or query.labels != asked:
        raise IntegrityError(state.bank, "asked under the label of a job it has not opened", "open the job first")
    answerer.spend(query.labels, 1)
    columns = range(len(answerer.table.shapes))
    exact = np.zeros((len(asked), answerer.matrix.rows), dtype=np.int64)
    sums = answerer.evaluator.answer(query.body, query.labels, columns, exact)
    return BinCounts(plaintext=isinstance(query.body, Cleartext), sums=sums)
