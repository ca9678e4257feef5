"""Sides that were told: of every split in a pool, by row, at the version of the table on which it was told last.

A newer version is told as it is where at least `LEAST_CHANGED` rows differ from that one. A version with fewer is held
back, and joined to the next: the bank is told what it was told before, so that the few rows which changed do not stand
out. A row that is new in such a version is answered as missing.

What a version tells anew of a split is the sum of -log2 P(new side) over the rows whose side has changed, a row of the
table: the unit of the information share. A new row counts nothing here: what a split tells of any row is what the
share counts already, a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from partner_node.algorithms.boosting import KeptHandle
from partner_node.algorithms.scoring import sides_of
from partner_node.node.holdings import Holdings
from partner_node.node.publishing import lineage_folder, states_file
from partner_node.policy.refreshes import Refreshes
from partner_node.store.row_states import RowStates, load_states, states_of
from protocol.contract import Contract
from protocol.files import own_folder, write_whole
from protocol.he.streams import digest
from protocol.messages import I64, U8

LEAST_CHANGED: Final = 50
"""Rows in which a version differs from the one that was told before, or it is held back."""
MISSING: Final = 2


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sha256: of the version. sides: of its rows in order of their states' ids, 0 right, 1 left, 2 missing."""

    sha256: str
    sides: bytes


@dataclass(frozen=True)
class _Answer:
    """What is told of one split. sides: of every row of the table. anew: bits a row; None where nothing newer is."""

    name: str
    sides: U8
    anew: float | None


class ToldSides:
    """Of one bank and lineage."""

    def __init__(self, own: Holdings) -> None:
        self._own, config = own, own.config
        self._folder = own_folder(lineage_folder(config) / "told")
        self.refreshes = Refreshes(own.budgets, config.party, config.bank, config.policy.account)
        self._states: dict[str, RowStates | None] = {}
        self._place: I64 | None = None

    def remember(self, handles: Sequence[KeptHandle]) -> None:
        """Note the sides of splits that a training has told of the table as it stands."""
        sha256 = self._own.table.sha256
        for handle in handles:
            name, sides = _name(handle), sides_of(handle, self._own.table.columns, self._own.config.party)
            before = self._kept(name)
            if before is not None and before.sha256 != sha256:
                self.refreshes.enter(sha256, {name: self._anew(before, sides)})
            if before is None or before.sha256 != sha256:
                self._keep(name, sides)

    def answer(self, handles: Sequence[KeptHandle], contract: Contract) -> list[U8]:
        """The sides of every row of the table, by split; what is newer than was told is spent first.

        Raises: RefusedError: a clause forbids a newer version. DataError: a column is gone, or of another kind.
        """
        answers = [self._answer(handle) for handle in handles]
        newer = {one.name: one.anew for one in answers if one.anew is not None}
        if newer:
            self.refreshes.spend(self._own.table.sha256, newer, contract)
        for one in answers:
            if one.anew is not None:
                self._keep(one.name, one.sides)
        return [one.sides for one in answers]

    def _answer(self, handle: KeptHandle) -> _Answer:
        name, sides = _name(handle), sides_of(handle, self._own.table.columns, self._own.config.party)
        before = self._kept(name)
        if before is not None and before.sha256 == self._own.table.sha256:
            return _Answer(name, sides, None)
        if before is None:  # kept by an earlier version of this software, which noted no sides
            return _Answer(name, sides, 0.0)
        changed = self._changed(before.sha256)
        if changed is not None and changed < LEAST_CHANGED:
            return _Answer(name, self._sides_before(before), None)
        return _Answer(name, sides, self._anew(before, sides))

    def _anew(self, before: _Kept, sides: U8) -> float:
        """Bits a row of the table."""
        chances = np.bincount(sides, minlength=3) / len(sides)
        then = self._sides_before(before, unknown=3)
        other = sides[(then != sides) & (then < 3)]
        return float(-np.log2(chances[other]).sum() / len(sides)) + 0.0

    def _sides_before(self, before: _Kept, unknown: int = MISSING) -> U8:
        """The sides told before, of every row of the table; `unknown` of one that was not there."""
        then, now = self._states_of(before.sha256), self._states_of(self._own.table.sha256)
        out = np.full(self._own.table.rows, unknown, dtype=np.uint8)
        if then is None or now is None:
            return out
        _, here, there = np.intersect1d(now.ids, then.ids, assume_unique=True, return_indices=True)
        out[self._rows_by_id[here]] = np.frombuffer(before.sides, dtype=np.uint8)[there]
        return out

    def _changed(self, sha256: str) -> int | None:
        """Rows that differ from a version; None where its states are not kept."""
        then, now = self._states_of(sha256), self._states_of(self._own.table.sha256)
        return now.changed(then) if then is not None and now is not None else None

    def _states_of(self, sha256: str) -> RowStates | None:
        if sha256 not in self._states:
            self._states[sha256] = load_states(states_file(self._own.config, sha256))
        return self._states[sha256]

    @property
    def _rows_by_id(self) -> I64:
        """The row of the table behind each of its states, which stand in order of their ids, shape (n,)."""
        if self._place is None:
            self._place = states_of(self._own.table, self._own.key).rows
        return self._place

    def _kept(self, name: str) -> _Kept | None:
        path = self._file(name)
        return msgspec.msgpack.decode(path.read_bytes(), type=_Kept) if path.is_file() else None

    def _keep(self, name: str, sides: U8) -> None:
        kept = _Kept(self._own.table.sha256, sides[self._rows_by_id].tobytes())
        write_whole(self._file(name), msgspec.msgpack.encode(kept))

    def _file(self, name: str) -> Path:
        return self._folder / name


def _name(handle: KeptHandle) -> str:
    """Names a split of a lineage by its values."""
    return digest(b"fedwarn.v1 told", msgspec.json.encode(handle)).hex()
