"""What columns add to a row's margin, as every family of models explains its rows."""

from dataclasses import dataclass

from protocol.messages import F64

Feature = tuple[str, str]
"""(party, column)."""


@dataclass(frozen=True)
class Contributions:
    """Shares of the margin. shares: shape (n, features), in the model's margin: log-odds of a 0/1 label. base: of all.

    base + the sum of a row's shares = its margin.
    """

    features: tuple[Feature, ...]
    shares: F64
    base: float
