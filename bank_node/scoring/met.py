"""What a scoring met: values not seen in training, columns that are emptier than they were, rows that no partner holds.

A model scores such rows without an error, since a category that it does not know and a missing value have their place
in every tree; the figures here say how often that happened.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bank_node.models.folder import ModelFolder, SeenColumn
from protocol.errors import DataError
from protocol.messages import I64
from protocol.table import Column

NOTABLE: Final = 0.05
"""By this much more of the rows than in training, a column must be empty to be named."""
STRICT: Final = 0.1
"""The share of `--strict` where none is given."""


@dataclass(frozen=True)
class Finding:
    """One line. subject: a column of the bank, or a partner. rows: concerned. excess: their share, less training's."""

    subject: str
    text: str
    rows: int
    excess: float

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {"subject": self.subject, "text": self.text, "rows": self.rows, "excess": self.excess}


@dataclass
class Met:
    """Counts over all rows of a scoring. Parts are added one by one."""

    folder: ModelFolder
    rows: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    def add(self, columns: Iterable[Column], rows: int, places: Mapping[str, I64]) -> None:
        """Some rows. places: of each at each partner that was asked, shape (rows,), -1 where it is not held."""
        self.rows += rows
        seen = self.folder.about.seen
        for column in (c for c in columns if c.name in seen):
            unseen, empty = _counts(column, seen[column.name])
            self.unseen[column.name] += unseen
            self.empty[column.name] += empty
        for partner, at in places.items():
            self.held[partner] += int((at >= 0).sum())

    def findings(self) -> list[Finding]:
        """One line a column with something to say, and one a partner that was asked."""
        rows, found = self.rows, []
        for name, seen in self.folder.about.seen.items():
            unseen, empty = self.unseen[name], self.empty[name]
            if unseen:
                text = f"{name}: {unseen:,} of {rows:,} rows have a value not seen in training"
                found.append(Finding(name, text, unseen, unseen / rows))
            if empty > (seen.missing + NOTABLE) * rows:
                text = f"{name}: empty in {empty:,} of {rows:,} rows ({seen.missing:.0%} in training)"
                found.append(Finding(name, text, empty, empty / rows - seen.missing))
        for partner, held in self.held.items():
            then = self.folder.about.held.get(partner, 0.0)
            text = f"{partner} holds {held:,} of {rows:,} rows ({then:.0%} in training)"
            found.append(Finding(partner, text, rows - held, then - held / rows))
        return found

    def require_within(self, party: str, share: float) -> None:
        """Raises: DataError: a finding exceeds what was in training by more than a share of the rows."""
        for finding in self.findings():
            if finding.excess > share:
                thing = f"{finding.text}, more than --strict {share:g} admits; no scores were written"
                raise DataError(party, thing, "correct the rows, or score without --strict")


def _counts(column: Column, seen: SeenColumn) -> tuple[int, int]:
    """Rows whose category is new, and rows without a value."""
    if column.kind == "number":
        return 0, int(np.isnan(column.numbers).sum())
    known = set(seen.categories)
    new = np.array([category not in known for category in column.categories] + [False])
    return int(new[column.codes].sum()), int((column.codes < 0).sum())
