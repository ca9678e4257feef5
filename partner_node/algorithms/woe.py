"""The partner's half of weight of evidence: exact counts a bin over sealed vectors, within the equation budget."""

import numpy as np

from partner_node.algorithms.boosting import BoostingAnswerer
from protocol.algorithms.woe import BinCounts, BinCountsQuery
from protocol.errors import IntegrityError
from protocol.he.base import Cleartext


def count_bins(answerer: BoostingAnswerer, query: BinCountsQuery) -> BinCounts:
    """Rows and bads a bin of every column; the budget is spent before they are computed.

    Raises: RefusedError: the equation budget. IntegrityError: labels of another job or layout.
    """
    state = answerer.state
    place = f"{state.job}/woe/{query.layout}"
    if not state.job or query.labels != (f"{place}/rows", f"{place}/bads"):
        raise IntegrityError(state.bank, "asked under the label of a job it has not opened", "open the job first")
    answerer.spend(query.labels, 1)
    columns = range(len(answerer.table.shapes))
    exact = np.zeros((2, answerer.matrix.rows), dtype=np.int64)
    sums = answerer.evaluator.answer(query.body, query.labels, columns, exact)
    return BinCounts(plaintext=isinstance(query.body, Cleartext), sums=sums)
