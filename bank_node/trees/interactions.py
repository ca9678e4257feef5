"""Which columns may stand together on one path of a tree: XGBoost's `interaction_constraints`.

At the root every column is allowed. Below a split, those are that share a group with all columns on the path so
far, and these columns themselves: a column in no group stands alone. A partner is one member of a group, all of its
columns together, since the bank does not know them by name.

Source: XGBoost `src/tree/constraints.cc`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Feature = tuple[str, int]
"""A party and the place of one of its columns."""
Path = frozenset[Feature]


@dataclass(frozen=True)
class Interactions:
    """The groups. Without any, everything may stand together."""

    groups: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls, groups: Sequence[Sequence[str]], bank: str, names: Sequence[str], partners: Mapping[str, int]
    ) -> "Interactions":
        """From groups of names: of the bank's columns, and of parties, which stand for all of their columns.

        names: of the bank's columns. partners: how many columns each has. A name that is neither (a column that was
        dropped, a partner of another rung) stands for nothing.
        """
        found = {party: [(party, j) for j in range(count)] for party, count in partners.items()}
        found[bank] = [(bank, j) for j in range(len(names))]
        for j, name in enumerate(names):
            found.setdefault(name, []).append((bank, j))
            if "." in name:  # a part of a date: the date's own name means all of its parts
                found.setdefault(name.rpartition(".")[0], []).append((bank, j))
        return cls(tuple(frozenset(f for name in group for f in found.get(name, [])) for group in groups))

    def allowed(self, path: Path, features: Sequence[Feature]) -> npt.NDArray[np.bool_]:
        """Which columns may be split on below a path, shape (features,)."""
        if not self.groups or not path:
            return np.ones(len(features), dtype=bool)
        among = path.union(*(group for group in self.groups if path <= group))
        return np.array([feature in among for feature in features], dtype=bool)
