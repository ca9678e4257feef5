"""A hint that is too large for memory: its rows lie in a file, and are read some at a time.

A hint has 32 KiB a bin, so that 2,000 columns of 16 bins make 1 GiB. The file is read, not mapped: mapped pages would
count as memory of the process.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from protocol.errors import IntegrityError
from protocol.files import disk_error
from protocol.he.kernels import words_times_small
from protocol.he.parameters import N
from protocol.he.streams import I8
from protocol.messages import I64, U64

_ROWS: Final = 1024
"""Rows that are in memory at a time, 32 MiB."""


@dataclass(frozen=True)
class StoredHint:
    """The hint in a file: little-endian words, row after row. party: of whom, for sentences."""

    path: Path
    party: str
    rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """As of an array."""
        return self.rows, N

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 2

    def times_small(self, small: I8, rows: I64, out: U64) -> None:
        """As `words_times_small`: out[b, k] = <hint[rows[k]], small[b]> mod 2^64.

        Raises: ValueError: a row does not exist. IntegrityError: the file is gone or cut short.
        """
        if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < self.rows:
            raise ValueError("a product was asked of a row that does not exist")
        buffer = np.empty((min(_ROWS, self.rows), N), dtype="<u8")
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError:
            raise self._lost() from None
        try:
            for first in range(0, self.rows, _ROWS):
                places = np.flatnonzero((rows >= first) & (rows < first + _ROWS))
                if not places.size:
                    continue
                wanted = rows[places]
                begin, end = int(wanted.min()), int(wanted.max()) + 1
                part = buffer[: end - begin]
                if os.preadv(handle, [part.data], begin * N * 8) != part.nbytes:
                    raise self._lost()
                some = np.empty((len(small), len(places)), dtype=np.uint64)
                words_times_small(part, small, wanted - begin, some)
                out[:, places] = some
        finally:
            os.close(handle)

    def _lost(self) -> IntegrityError:
        thing = f"the hint of {self.party} in {self.path.name} is gone or cut short"
        return IntegrityError("bank", thing, "run `bank-node align --anew`, which asks for another")


def write_parts(path: Path, parts: Iterable[U64]) -> int:
    """Write the parts of a hint one after another, for the owner's eyes only; how many rows they have.

    Raises: UsageError: the disk is full. Nothing is left then.
    """
    beside, rows = path.with_name(path.name + ".part"), 0
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype="<u8").data)
                rows += len(part)
        beside.replace(path)
    except OSError as error:
        raise disk_error(error, path) from None
    finally:
        beside.unlink(missing_ok=True)
    return rows
