"""Reason codes: what raises a row's risk most, by party and characteristic.

A reason is a characteristic with a share above 0: of a model of trees its Shapley value, in log-odds
(trees/shap.py), of a linear model its term less the average one, of a scorecard the points that it lacks to the
average customer's. Shares of columns that a party does not name are added up, and read as the party's name alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bank_node.family.contributions import Feature
from protocol.messages import F64

MOST: Final = 4
"""Reasons given a row."""


@dataclass(frozen=True)
class Reason:
    """column: "" for all that the party does not name. share: above 0, in the unit of the shares given."""

    party: str
    column: str
    share: float

    def __str__(self) -> str:
        named = f"{self.party}: {self.column}" if self.column else self.party
        return f"{named} {self.share:+.3f}"


def reasons_of(features: Sequence[Feature], shares: F64, unnamed: Collection[Feature]) -> list[tuple[Reason, ...]]:
    """The strongest reasons of each row, strongest first. shares: shape (n, features). unnamed: of the features."""
    shown = [(party, "" if (party, column) in unnamed else column) for party, column in features]
    names = list(dict.fromkeys(shown))
    summed = np.zeros((len(shares), len(names)))
    for k, name in enumerate(shown):
        summed[:, names.index(name)] += shares[:, k]
    order = np.argsort(-summed, axis=1, kind="stable")[:, :MOST]
    return [
        tuple(Reason(names[k][0], names[k][1], float(line[k])) for k in places if line[k] > 0)
        for line, places in zip(summed, order.tolist(), strict=True)
    ]
