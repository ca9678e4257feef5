"""Columns of a table that is too large for memory: their values lie in a file, and are read when they are asked for.

The file has no name, so that it is gone when the process ends, however it ends.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from protocol.files import disk_error, own_folder
from protocol.messages import F64
from protocol.table.table import I32, Column


class StoredColumn(Column):
    """A column whose values are read from a file at each use, so that they are in memory no longer than that."""

    def __init__(self, column: Column, read: Callable[[], npt.NDArray[Any]]) -> None:
        """column: gives all but the values. read: gives these, shape (n,)."""
        facts = {"name": column.name, "kind": column.kind, "categories": column.categories}
        for name, value in {**facts, "ordered": column.ordered, "_read": read}.items():
            object.__setattr__(self, name, value)

    @property
    def numbers(self) -> F64:
        """As of a column in memory."""
        return self._read() if self.kind == "number" else np.empty(0)  # type: ignore[attr-defined]

    @property
    def codes(self) -> I32:
        """As of a column in memory."""
        held = self.kind == "category"
        return self._read() if held else np.empty(0, dtype=np.int32)  # type: ignore[attr-defined]


class ColumnStore:
    """A file for columns of one table, in a folder of the node.

    Raises: UsageError: the folder cannot be used, or its disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._end = folder, 0
        try:
            self._file = tempfile.TemporaryFile(dir=own_folder(folder))  # noqa: SIM115
        except OSError as error:
            raise disk_error(error, folder) from None

    def keep(self, column: Column) -> Column:
        """The column, its values in the file."""
        values: npt.NDArray[Any] = column.numbers if column.kind == "number" else column.codes
        begin, self._end = self._end, self._end + values.nbytes
        try:
            self._file.seek(begin)
            self._file.write(np.ascontiguousarray(values).data)
            self._file.flush()
        except OSError as error:
            raise disk_error(error, self._folder) from None
        length, dtype = len(values), values.dtype

        def read() -> npt.NDArray[Any]:
            out = np.empty(length, dtype=dtype)
            if os.preadv(self._file.fileno(), [out.data], begin) != out.nbytes:
                raise OSError(f"the stored values of {self._folder.name} are cut short")
            return out

        return StoredColumn(column, read)
