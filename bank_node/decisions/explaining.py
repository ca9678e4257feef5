"""Which columns make a row's margin what it is: shares that add up to it with the base, of a model of any family."""

from collections.abc import Mapping

from bank_node.families.catalogue import family_of
from bank_node.family.contributions import Contributions
from bank_node.family.scorer import ToldOf
from bank_node.models.folder import ModelFolder
from protocol.table import Column


def explain(folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
    """Of a model with one margin, trained with [bands]. columns, told: as in scoring, over the rows."""
    return family_of(folder.about.kind).explain(folder, columns, told, rows)
