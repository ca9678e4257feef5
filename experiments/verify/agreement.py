"""Whether two documents say the same, and where they do not."""

from collections.abc import Iterator
from math import isclose
from typing import Any

from bank_node.report.document import REPORT_FILE

TOLERANCE = 1e-9


def differences(stored: Any, anew: Any, where: str) -> Iterator[str]:
    """Places where two documents differ; numbers to 1e-9, all else exactly."""
    if isinstance(stored, dict) and isinstance(anew, dict) and stored.keys() == anew.keys():
        for key, value in stored.items():
            yield from differences(value, anew[key], f"{where}.{key}" if where else str(key))
    elif isinstance(stored, list) and isinstance(anew, list) and len(stored) == len(anew):
        for index, (left, right) in enumerate(zip(stored, anew, strict=True)):
            yield from differences(left, right, f"{where}[{index}]")
    elif not same(stored, anew):
        yield f"{REPORT_FILE} says {_shown(stored)} at {where}, recomputed it is {_shown(anew)}"


def same(stored: Any, anew: Any) -> bool:
    if isinstance(stored, float) and isinstance(anew, float):
        return isclose(stored, anew, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(stored == anew)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, int | float | bool | None) else f"another {type(value).__name__}"
