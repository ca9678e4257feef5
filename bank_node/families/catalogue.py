"""The catalogue of model families: the bank's half of protocol/job/families.py."""

from pathlib import Path
from typing import Any, Final

from bank_node.family.model_family import ModelFamily
from bank_node.family.training import Training
from bank_node.linear.family import GeneralisedLinear, Scorecards
from bank_node.models.folder import ModelFolder, read_folder
from bank_node.trees.family import BoostedTrees

AnyFamily = ModelFamily[Any, Any, Any]

FAMILIES: Final[dict[str, AnyFamily]] = {
    "boosting": BoostedTrees(),
    "glm": GeneralisedLinear(),
    "scorecard": Scorecards(),
}
"""By kind."""


def family_of(kind: str) -> AnyFamily:
    """The family of a job's model, or of a model folder."""
    return FAMILIES[kind]


def family_in(training: Training, model: str) -> AnyFamily:
    """The family of a model of the job that is trained, by the model's name."""
    return FAMILIES[training.job.model(model).kind]


def load_model(folder: Path) -> ModelFolder:
    """The model of a folder, of any family. Raises: UsageError, IntegrityError: as `read_folder`."""
    return read_folder(folder, lambda kind: FAMILIES[kind].stored if kind in FAMILIES else None)
