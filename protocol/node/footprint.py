"""What a job needs of a machine, about, and what the machine has: for the doctors, from rows, columns and bins.

Figures are upper bounds of what is kept (bins, hints, answers) and twice that of memory for the work on them.
"""

import shutil
from pathlib import Path

import msgspec

from protocol.algorithms.binning import Cutting
from protocol.he.parameters import N
from protocol.job.workload import Workload

_MIB = 1 << 20
_BASE_MIB = 300
"""Of a node that does nothing: Python, NumPy, compiled kernels."""


_WHOLE = 1 << 27
"""Bytes of a hint up to which it is in memory as a whole; a larger one passes in parts, and lies in a file."""


class Footprint(msgspec.Struct, frozen=True):
    """MiB of memory and of disk."""

    memory_mib: int
    disk_mib: int


def at_partner(rows: int, columns: int, plan: Workload) -> Footprint:
    """rows, columns: of its table."""
    hints = [_hint(columns, cutting) for cutting in plan.cuttings]
    values, bins = rows * columns * 8, 2 * rows * columns * len(plan.cuttings)
    masks = sum(hints) // 8
    passing = 2 * max((min(hint, _WHOLE) for hint in hints), default=0)
    memory = 2 * (min(values, 2 * _WHOLE) + bins) + masks + passing
    return Footprint(_BASE_MIB + memory // _MIB, 64 + (values // _MIB if values > 2 * _WHOLE else 0))


def at_bank(rows: int, columns: int, partners: dict[str, tuple[int, int, Workload]]) -> Footprint:
    """rows, columns: of the bank's table. partners: rows and columns of theirs, and the plan, by name."""
    hints = sum(_hint(c, cutting) for _, c, plan in partners.values() for cutting in plan.cuttings)
    known = sum(r * sum(m.trees for m in plan.models) for r, _, plan in partners.values())
    sums = sum(m.equations * c * _rows(m.cutting) * 8 for _, c, plan in partners.values() for m in plan.models)
    held = sum(min(_hint(c, cutting), _WHOLE) for _, c, plan in partners.values() for cutting in plan.cuttings)
    memory = 2 * (rows * columns * 9 + held + known + sum(r * 64 for r, _, _ in partners.values()))
    return Footprint(_BASE_MIB + memory // _MIB, (hints + known + sums) // _MIB + 64)


def memory_available_mib() -> int | None:
    """Of this machine now; None where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable")), None)


def disk_free_mib(folder: Path) -> int:
    """Where the folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return int(shutil.disk_usage(folder).free // _MIB)


def _hint(columns: int, cutting: Cutting) -> int:
    """Bytes of the hint of all columns."""
    return columns * _rows(cutting) * N * 8


def _rows(cutting: Cutting) -> int:
    """Rows of the matrix a column at most: all its bins, and one for missing values."""
    return cutting.max_bin + len(cutting.special) + 1
