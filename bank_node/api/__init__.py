"""The Python API: a federation to train with, and an estimator in the conventions of scikit-learn."""

from bank_node.api.booster import FederatedBooster
from bank_node.api.federation import Federation
from bank_node.api.fitted import NotFitted

__all__ = ["FederatedBooster", "Federation", "NotFitted"]
