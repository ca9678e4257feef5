"""Reading a model folder, of whichever family its model is."""

from pathlib import Path

from bank_node.families.catalogue import FAMILIES
from bank_node.models.folder import ModelFolder, read_folder


def load_model(folder: Path) -> ModelFolder:
    """The model of a folder. Raises: UsageError, IntegrityError: as `read_folder`."""
    return read_folder(folder, FAMILIES.get)
