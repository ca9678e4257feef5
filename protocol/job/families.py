"""The catalogue of model families, as both sides read them in a job; the bank's half is bank_node/families."""

from typing import Annotated, Any, Final

from pydantic import PlainValidator, SerializeAsAny

from protocol.job.boosting import BoostingModel
from protocol.job.family import JobModel
from protocol.job.linear import GlmModel, ScorecardModel

FAMILIES: Final[dict[str, type[JobModel]]] = {
    "boosting": BoostingModel,
    "glm": GlmModel,
    "scorecard": ScorecardModel,
}
"""By kind; the first where none is named."""


def _read(values: Any) -> JobModel:
    if isinstance(values, JobModel):
        return values
    kind = values.get("kind", next(iter(FAMILIES))) if isinstance(values, dict) else ""
    if kind not in list(FAMILIES):
        raise ValueError(f"kind is one of {', '.join(FAMILIES)}")
    return FAMILIES[kind].model_validate(values)


AnyModel = Annotated[JobModel, PlainValidator(_read), SerializeAsAny(), FAMILIES]
"""[[models]]: kind and parameters, read by the family that the kind names."""
