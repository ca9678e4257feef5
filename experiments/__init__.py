"""The laboratory: parties in one hand. From Python: `from experiments import federation_of` (docs/python-api.md)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.laboratory.example import example_loans
    from experiments.laboratory.in_process import InProcessFederation, federation_of

__all__ = ["InProcessFederation", "example_loans", "federation_of"]
_ROOMS = {"example_loans": "example", "federation_of": "in_process", "InProcessFederation": "in_process"}


def __getattr__(name: str) -> Any:
    """Load what a notebook asks for when it does: the command line needs none of it."""
    if name in _ROOMS:
        return getattr(import_module(f"experiments.laboratory.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")
