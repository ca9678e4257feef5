"""What a bank installs. From Python, in a notebook or a script (docs/python-api.md):

from bank_node import FederatedBooster, Federation
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bank_node.api import FederatedBooster, Federation, NotFitted

__all__ = ["FederatedBooster", "Federation", "NotFitted"]


def __getattr__(name: str) -> Any:
    """Load the Python API when it is first asked for: a node that serves from the command line needs none of it."""
    if name in __all__:
        return getattr(import_module("bank_node.api"), name)
    raise AttributeError(f"module 'bank_node' has no attribute {name!r}")
