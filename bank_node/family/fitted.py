"""What a fit of any family ends with, and what a refit takes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from bank_node.models.canonical import Model
from protocol.algorithms.boosting import Kept, Split
from protocol.messages import F64


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a fit of any family ends with.

    margin: of every row, shape (n,), or (n, classes). queries: vectors sent to each partner. kept: by partner, what it
    keeps of the model.
    """

    model: Model
    margin: F64
    queries: int
    kept: Mapping[str, Kept]


class KnownModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that a refit can fit again: a part of `refit.json`.

    splits: of its pool at each partner, in the pool's order; kept: what the partner keeps, as it was.
    """

    model: str
    rung: str
    splits: dict[str, tuple[Split, ...]]
    kept: dict[str, Kept]
    information: dict[str, float]


Fit = TypeVar("Fit", bound=Fitted)
