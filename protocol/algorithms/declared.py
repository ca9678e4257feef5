"""Imports every module that declares messages, so that the catalogue is whole for whoever reads it by name."""

from protocol.algorithms import (
    agreement,
    alignment,
    binning,
    boosting,
    checkup,
    glm,
    masks,
    runs,
    scoring,
    standing,
    woe,
)
from protocol.messages import CATALOGUE

__all__ = [
    "CATALOGUE", "agreement", "alignment", "binning", "boosting", "checkup", "glm", "masks", "runs", "scoring",
    "standing", "woe",
]  # fmt: skip
