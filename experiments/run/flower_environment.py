"""The environment with Flower in it: apart from the core's, since their pins differ (`make flower-env`)."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import protocol
from protocol.errors import UsageError

DEFAULT: Final = ".venv-flower"
"""Beside the packages, in a copy of the repository."""


def flower_python() -> Path:
    """The interpreter to start Flower with: ours if it has Flower. Raises: UsageError: there is none."""
    if find_spec("flwr") is not None:
        return Path(sys.executable)
    python = Path(protocol.__file__).parents[1] / DEFAULT / "bin" / "python"
    if not python.exists():
        raise UsageError("fedwarn", "Flower is not installed here", "run `make flower-env`")
    return python
