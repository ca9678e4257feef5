"""The catalogue of model families, as both sides read them in a job; the bank's half is bank_node/families."""

from typing import Annotated, Final

from protocol.job.boosting import BoostingModel
from protocol.job.family import JobModel, OneOf
from protocol.job.linear import GlmModel, ScorecardModel

FAMILIES: Final[dict[str, type[JobModel]]] = {
    "boosting": BoostingModel,
    "glm": GlmModel,
    "scorecard": ScorecardModel,
}
"""By kind."""

AnyModel = Annotated[JobModel, OneOf(FAMILIES, usual="boosting")]
"""[[models]]: kind and parameters."""
