"""The state of every row of a version of the table: how many rows differ between two versions, and nothing else.

A row is known by 64 bits of a keyed hash of its id, its content by 64 bits mixed over all columns. Both stay on this
machine. A version that adds or drops a column has other content in every row.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from protocol.files import disk_error, opened_arrays
from protocol.messages import I64, U64
from protocol.table import Column, Table

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT: Final = np.uint64(29)


@dataclass(frozen=True)
class RowStates:
    """ids: of each row, ascending, shape (n,). content: of each, shape (n,). kinds: of its columns, by name.

    rows: the table's row of each, not kept on disk.
    """

    ids: U64 = field(repr=False)
    content: U64 = field(repr=False)
    kinds: dict[str, str] = field(default_factory=dict, repr=False)
    rows: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)

    def changed(self, before: "RowStates") -> int:
        """Rows that are new, gone, or of another content than before."""
        _, here, there = np.intersect1d(self.ids, before.ids, assume_unique=True, return_indices=True)
        other = int((self.content[here] != before.content[there]).sum())
        return len(self.ids) + len(before.ids) - 2 * len(here) + other

    def known(self, before: "RowStates") -> int:
        """Rows whose ids were there before."""
        return len(np.intersect1d(self.ids, before.ids, assume_unique=True))

    def save(self, path: Path) -> None:
        """Keep them in a file that only its owner reads, whole or not at all. Raises: UsageError: the disk is full."""
        beside = path.with_name(f"{path.stem}.part.npz")
        try:
            beside.touch(mode=0o600)
            names, kinds = np.array(list(self.kinds)), np.array(list(self.kinds.values()))
            np.savez(beside, ids=self.ids, content=self.content, names=names, kinds=kinds)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise disk_error(error, path) from None


def states_of(table: Table, key: bytes) -> RowStates:
    """The states of a table's rows. key: of the node."""
    ids = np.array([_word(value, key) for value in table.ids], dtype=np.uint64)
    content = np.zeros(table.rows, dtype=np.uint64)
    for column in table.columns:
        salt = np.uint64(_word(column.name.encode(), key))
        content = _mixed(content * _ODD + _mixed(_values(column, key) ^ salt))
    order = np.argsort(ids, kind="stable")
    return RowStates(ids[order], content[order], {column.name: column.kind for column in table.columns}, order)


def load_states(path: Path) -> RowStates | None:
    """States kept by `save`; None if there are none."""
    if not path.is_file():
        return None
    with opened_arrays(path) as kept:
        kinds = dict(zip(kept["names"].tolist(), kept["kinds"].tolist(), strict=True))
        return RowStates(kept["ids"], kept["content"], kinds)


def _values(column: Column, key: bytes) -> U64:
    if column.kind == "number":
        numbers = np.where(np.isnan(column.numbers), np.nan, column.numbers + 0.0)
        return numbers.view(np.uint64)
    words = np.array([*(_word(name.encode(), key) for name in column.categories), 0], dtype=np.uint64)
    return words[column.codes]


def _mixed(values: U64) -> U64:
    mixed: U64 = (values ^ (values >> _SHIFT)) * _MIX
    return mixed ^ (mixed >> _SHIFT)


def _word(value: bytes, key: bytes) -> int:
    return int.from_bytes(blake2b(value, digest_size=8, key=key, person=b"fedwarn.v1 state").digest(), "little")
