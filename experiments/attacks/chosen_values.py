"""A bank that deviates in a regression: it lets 0 .. 7 stand for the bins, and reads a row's bin in every octal digit.

Sums over columns of whole numbers are exact and have 62 bits. As with `chosen_query`, the partner cannot see that the
vector is no residual. With weights of evidence of 13 bits in place of digits the same sum tells of four rows. What a
query declares is all that its sums can say: the partner fills the bits above with random ones.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experiments.attacks import Score
from partner_node.policy.budgets import Budgets
from protocol.algorithms.glm import most_sum_log2
from protocol.draws import draw
from protocol.he.base import MAX_VALUE, Integers
from protocol.he.engines import integer_evaluator, integer_kit
from protocol.he.integers import INTEGER_BITS, SUM_BITS
from protocol.he.noise import high_bits
from protocol.he.streams import fresh_key

_BINS: Final = 8
_DIGIT: Final = 3
READ_VALUES: Final = SUM_BITS // _DIGIT
"""Rows read by one query, of every column."""


DECLARED_BITS: Final = MAX_VALUE.bit_length() + most_sum_log2(1000)
"""Of a sum, by the widest declaration that a partner accepts over a thousand rows; an honest one is as wide."""


def chosen_values(folder: Path, rows: int = 1000, columns: int = 4, tight: bool = True) -> Score:
    """Share of the bins of 20 chosen rows that one query gives away, the others guessed.

    tight: whether the partner fills the bits above those of an honest declaration, or the bank declares all of them.
    """
    setting = f"{columns} columns, {DECLARED_BITS if tight else SUM_BITS} bits"
    return Score("chosen values", setting, float(_right(folder, rows, columns, tight).mean()), 1 / _BINS)


def bits_read(folder: Path, tight: bool) -> float:
    """Bits of a column's bins that one sum says for certain: of the rows that are read in every one of 40 columns."""
    return float(_DIGIT * _right(folder, 1000, 40, tight).all(axis=1).sum())


def _right(folder: Path, rows: int, columns: int, tight: bool) -> npt.NDArray[np.bool_]:
    """Which digits are the bins of their rows, shape (20, columns)."""
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
    above = high_bits(fresh_key(), b"chosen values", DECLARED_BITS, columns, INTEGER_BITS)
    answer = partner.answer(query, above[None] if tight else np.zeros((1, columns), dtype=np.int64))
    sums = kit.open(sealed, np.arange(columns), answer)[0]
    digits = (sums[None] >> places[:, None]) & (_BINS - 1)
    right: npt.NDArray[np.bool_] = digits == secret[chosen]
    return right
