"""A point of a frontier."""

from pydantic import BaseModel, ConfigDict


class Point(BaseModel):
    """One setting. uplift: AUC of all parties over the bank alone. information_share: mean over the partners."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    knob: str
    value: str
    run: str
    auc: float
    uplift: float
    low: float
    high: float
    information_share: float
    shares: dict[str, float]
    equations_share: dict[str, float]
