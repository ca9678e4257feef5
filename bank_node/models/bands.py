"""Red, amber and green: the cut-offs that a model folder keeps, and how rows are put into bands by them."""

from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from protocol.messages import F64

BANDS: Final = ("green", "amber", "red")
"""By number: 0, 1, 2."""
GREEN, AMBER, RED = range(3)


class BandCuts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cut-offs on a measure of each row: red at or above `red`, else amber at or above `amber`, else green.

    rule: capacity and precision measure the score, expected-loss the money. None: no row reaches the band.
    lgd: share of the amount that is lost in a default.
    """

    rule: Literal["capacity", "expected-loss", "precision"]
    red: float | None
    amber: float | None
    lgd: float = 1.0


def expected_loss(pd: F64, amount: F64, lgd: float) -> F64:
    """In money, shape (n,): probability of default x exposure x share lost."""
    return pd * amount * lgd


def measured(cuts: BandCuts, score: F64, pd: F64, amount: F64 | None) -> F64:
    """What the cut-offs are on, shape (n,). amount: needed by expected-loss alone."""
    if cuts.rule != "expected-loss":
        return score
    assert amount is not None
    return expected_loss(pd, amount, cuts.lgd)


def band_numbers(cuts: BandCuts, measure: F64) -> npt.NDArray[np.int8]:
    """The band of each row, shape (n,)."""
    red, amber = (np.inf if cut is None else cut for cut in (cuts.red, cuts.amber))
    return np.where(measure >= red, RED, np.where(measure >= amber, AMBER, GREEN)).astype(np.int8)
