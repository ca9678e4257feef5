"""The partner's half of weight of evidence: exact counts a bin over sealed vectors, within the equation budget."""

import msgspec
import numpy as np

from partner_node.algorithms.boosting import BoostingAnswerer
from protocol.algorithms.woe import BinCounts, BinCountsQuery, bits_of_counts
from protocol.contract import refuse
from protocol.he.base import Cleartext
from protocol.he.streams import digest


def count_bins(answerer: BoostingAnswerer, query: BinCountsQuery) -> BinCounts:
    """Rows, bads, and perhaps tested rows a bin of every column; the budget is spent before they are computed.

    Raises: RefusedError: the equation budget, or more bits than counts need. IntegrityError: labels of another run.
    """
    state, columns = answerer.state, range(len(answerer.table.shapes))
    run, most = answerer.run_of("counts", [query.label]), bits_of_counts(state.matches)
    if query.bits > most:
        raise refuse(
            answerer.party, "max_equations_share",
            f"counts were declared of {query.bits} bits, where {state.matches} rows need {most}",
            "declare the bits that the counts need",
        )  # fmt: skip
    checked = answerer.evaluator.check(query.body, query.vector_labels, columns)
    asked = msgspec.json.encode((query.layout, query.vectors, query.bits))
    told = answerer.bits_of(columns, [(query.bits, 0.0)] * query.vectors)
    answerer.spend(run, checked, [query.label], [digest(asked, *checked.names)], query.vectors, told)
    added = np.zeros((query.vectors, answerer.matrix.rows), dtype=np.int64)
    if answerer.evaluator.modular:
        added += answerer.high_bits(run.epoch, checked, [query.bits] * query.vectors, answerer.matrix.rows)
    sums = answerer.evaluator.answer(checked, added)
    return BinCounts(plaintext=isinstance(query.body, Cleartext), sums=sums)
