"""The knobs that `fedwarn frontier` turns."""

from collections.abc import Sequence
from typing import Any, Final

KNOBS: Final[dict[str, Sequence[Any]]] = {
    "budget": (0.02, 0.05, 0.1, 0.15, 0.2, 0.35, 0.6, 1.0),
    "trees": (0.1, 0.25, 0.5, 2.0),
    "depth": (2, 3, 4, 5),
    "bins": (4, 8, 16, 32),
    "columns": (0.25, 0.5),
    "noise": (0.0, 4.0, 16.0, 64.0),
    "split_rows": ("all", "node"),
}
"""What each knob is turned to; trees and columns as shares of the scenario's."""
