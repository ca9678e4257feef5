"""A table in memory: a party's rows in order of id, every column typed and cleaned."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from protocol.messages import F64, I64
from protocol.table.dates import Moments
from protocol.table.notes import Note
from protocol.table.texts import ReadAs

I32 = npt.NDArray[np.int32]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Column:
    """One feature. numbers: shape (n,), nan = missing; or codes: shape (n,), -1 = missing, into categories.

    ordered: whether the categories are grades, lowest first.
    """

    name: str
    kind: Literal["number", "category"]
    numbers: F64 = field(default_factory=lambda: np.empty(0), repr=False)
    codes: I32 = field(default_factory=lambda: np.empty(0, dtype=np.int32), repr=False)
    categories: tuple[str, ...] = field(default=(), repr=False)
    ordered: bool = False

    def rows(self, chosen: npt.NDArray[np.bool_] | slice) -> "Column":
        """The column over some of its rows, in memory."""
        numbers = self.numbers[chosen] if self.kind == "number" else self.numbers
        codes = self.codes[chosen] if self.kind == "category" else self.codes
        return Column(self.name, self.kind, numbers, codes, self.categories, self.ordered)


@dataclass(frozen=True)
class Table:
    """A party's rows in order of id. Special columns are None where the table has none, else of shape (n,).

    order: the place in the file, from 0, of each row, shape (n,).
    segments: columns by which figures are given apart, features or not.
    A dated table has several rows an entity: its ids are then (entity, as_of), and `entities` has each row's entity.
    dates: by column, NaT where empty, shape (n,). numbers: columns that are no features, nan where missing, shape (n,).
    written: ids as the party itself writes them out, which alignment has made alike.
    reading: what was read otherwise than it is written, or dropped. read_as: columns of text or dates, how.
    mostly_unique: text columns that name rows rather than describe them; all their values count as missing.
    """

    party: str
    ids: list[bytes] = field(repr=False)
    columns: tuple[Column, ...]
    label: F64 | None = field(default=None, repr=False)
    weight: F64 | None = field(default=None, repr=False)
    amount: F64 | None = field(default=None, repr=False)
    time: npt.NDArray[np.datetime64] | None = field(default=None, repr=False)
    part: Texts | None = field(default=None, repr=False)
    segments: tuple[Column, ...] = ()
    as_of: Moments | None = field(default=None, repr=False)
    dates: dict[str, Moments] = field(default_factory=dict, repr=False)
    numbers: dict[str, F64] = field(default_factory=dict, repr=False)
    entities: list[bytes] = field(default_factory=list, repr=False)
    order: I64 = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)
    written: list[bytes] = field(default_factory=list, repr=False)
    sentinels: dict[str, int] = field(default_factory=dict)
    reading: tuple[Note, ...] = ()
    read_as: dict[str, ReadAs] = field(default_factory=dict)
    mostly_unique: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.ids)

    @property
    def written_ids(self) -> list[bytes]:
        """Ids for files and pages of the party itself."""
        return self.written or self.ids

    @property
    def entity_ids(self) -> list[bytes]:
        """Ids without dates, a row."""
        return self.entities or self.ids
