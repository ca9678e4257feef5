"""An offset: a column of the bank that is added to the margin as it is, or its logarithm, with no coefficient.

Under a logarithmic link the logarithm of an exposure (months observed, contracts) makes a model of counts one of rates.

Source: McCullagh and Nelder (1989), ch. 6.3.
"""

from typing import Final

import msgspec
import numpy as np

from protocol.algorithms.glm import UNIT
from protocol.errors import DataError
from protocol.messages import F64, I64

FURTHEST: Final = 1e6
"""In units of the margin: whole scores of 1 / UNIT then stay far below 2^63."""


class Offset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """column: of the bank. log: its logarithm is added."""

    column: str
    log: bool = False


def require_offset(offset: Offset, numbers: F64, party: str) -> None:
    """Raises: DataError: a value is missing, or not above 0 where its logarithm is taken."""
    wrong = ~np.isfinite(numbers) | ((numbers <= 0) & offset.log)
    if wrong.any():
        what = "is missing or not above 0" if offset.log else "is missing"
        remedy = "correct or drop them: there is nothing that could stand for it"
        raise DataError(party, f"column {offset.column!r}, an offset, {what} in {int(wrong.sum())} rows", remedy)


def offset_units(offset: Offset, numbers: F64, scale: float, party: str) -> I64:
    """What is added to the score of each row, in 1 / UNIT, shape (n,). scale: unit of the margin.

    Raises: DataError: as `require_offset`; a value is too large.
    """
    require_offset(offset, numbers, party)
    added = (np.log(numbers) if offset.log else numbers) / scale
    if np.abs(added).max(initial=0.0) > FURTHEST:
        thing = f"column {offset.column!r}, an offset, is larger than {FURTHEST:,.0f} units of the margin"
        raise DataError(party, thing, "give it in other units, together with the label")
    return np.rint(added * UNIT).astype(np.int64)
