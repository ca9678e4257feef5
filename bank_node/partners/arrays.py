"""Arrays in a file that is written whole, or not at all."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from protocol.files import write_whole


def save_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write arrays under their names. Raises: UsageError: the disk is full."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(path, content.getvalue())
