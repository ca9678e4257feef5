"""A bank that deviates in a regression: it lets 0 .. 7 stand for the bins, and reads a row's bin in every octal digit.

Sums over columns of whole numbers are exact and have 62 bits. As with `chosen_query`, the partner cannot see that the
vector is no residual. With weights of evidence of 13 bits in place of digits the same sum tells of four rows.
"""

from pathlib import Path
from typing import Final

import numpy as np

from experiments.attacks import Score
from partner_node.policy.budgets import Budgets
from protocol.draws import draw
from protocol.he.base import Integers
from protocol.he.engines import integer_evaluator, integer_kit
from protocol.he.integers import SUM_BITS
from protocol.he.streams import fresh_key

_BINS: Final = 8
_DIGIT: Final = 3
READ_VALUES: Final = SUM_BITS // _DIGIT
"""Rows read by one query, of every column."""


def chosen_values(folder: Path, rows: int = 1000, columns: int = 4) -> Score:
    """Share of the bins of 20 chosen rows that one query gives away."""
    secret = draw(1, "chosen values").integers(0, _BINS, (rows, columns)).astype(np.int16)
    design = np.stack((np.arange(columns), np.full(columns, -1)), axis=1)
    seed, budgets = fresh_key(), Budgets(folder / "budgets.sqlite", "partner")
    matrix = Integers(secret, design, rows, np.arange(rows))
    partner = integer_evaluator("blind", "bank", fresh_key(), matrix, seed, budgets)
    kit = integer_kit("blind", "partner", fresh_key(), seed, partner.hint(), rows)
    chosen, places = np.arange(READ_VALUES) * (rows // READ_VALUES), _DIGIT * np.arange(READ_VALUES)
    vector = np.zeros((1, rows), dtype=np.int64)
    vector[0, chosen] = 1 << places
    sealed = kit.seal(vector, ["label"], 1)
    query = partner.check(sealed.body, ["label"], np.arange(columns))
    answer = partner.answer(query, np.zeros((1, columns), dtype=np.int64))
    sums = kit.open(sealed, np.arange(columns), answer)[0]
    digits = (sums[None] >> places[:, None]) & (_BINS - 1)
    return Score("chosen values", f"{columns} columns", float((digits == secret[chosen]).mean()), 1 / _BINS)
