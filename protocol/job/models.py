"""What is fitted: models of three kinds, the bins of their columns, and which columns linear models keep."""

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from protocol.algorithms.binning import MAX_BIN, Kind
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.settings.added_keys import Section


class BoostingModel(Section):
    """[[models]] of kind boosting: parameters under XGBoost's names where XGBoost has them."""

    kind: Literal["boosting"] = "boosting"
    params: BoostingParams = BoostingParams()


class GlmModel(Section):
    """[[models]] of kind glm: a generalised linear model."""

    kind: Literal["glm"]
    params: GlmParams = GlmParams()


class ScorecardModel(Section):
    """[[models]] of kind scorecard: a logistic regression on weights of evidence, told in points."""

    kind: Literal["scorecard"]
    params: ScorecardParams = ScorecardParams()


KINDS: Final = ("boosting", "glm", "scorecard")


def _kind(model: Any) -> str:
    kind = model.get("kind", "boosting") if isinstance(model, dict) else getattr(model, "kind", "")
    return f"kind={kind}"


JobModel = Annotated[
    Annotated[BoostingModel, Tag("kind=boosting")]
    | Annotated[GlmModel, Tag("kind=glm")]
    | Annotated[ScorecardModel, Tag("kind=scorecard")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message=f"kind is one of {', '.join(KINDS)}",
    ),
]
"""[[models]]: kind and parameters."""


def linear_params(model: JobModel) -> GlmParams | None:
    """What a linear model is fitted by; None of trees."""
    if isinstance(model, BoostingModel):
        return None
    return model.params.glm if isinstance(model, ScorecardModel) else model.params


class Binning(Section):
    """[binning]: the bins of bin tables and scorecards.

    kind, special: how every party cuts its columns into fine bins (`Cutting`). max_bin: fine bins a column, 0: as many
    as the first boosted model has, or 16. merge: how the bank then joins fine bins by their goods and bads. max_bins:
    joined bins at most, but for special values and missing. min_share: of the rows trained on, in each of these.
    level: of chi-merge, at which two bins differ.
    """

    kind: Kind = "quantile"
    max_bin: int = Field(default=0, ge=0, le=MAX_BIN)
    special: tuple[float, ...] = ()
    merge: Literal["none", "chi-merge", "monotone"] = "none"
    max_bins: int = Field(default=6, ge=2, le=MAX_BIN)
    min_share: float = Field(default=0.05, ge=0, le=0.5)
    level: float = Field(default=0.95, gt=0, lt=1)


class Selection(Section):
    """[selection]: which columns linear models keep, and what the report says of all.

    By column alone: max_missing, max_single (share of its rows with one value; of a partner's, in its largest bin),
    max_stability (between training and test rows). Among columns: max_correlation, max_inflation, method (p_enter,
    p_remove), signs (no column whose points would rise with risk). 0 in max_stability and max_inflation: not asked.
    """

    max_missing: float = Field(default=1.0, ge=0, le=1)
    max_single: float = Field(default=1.0, ge=0, le=1)
    max_stability: float = Field(default=0.0, ge=0)
    max_correlation: float = Field(default=1.0, gt=0, le=1)
    max_inflation: float = Field(default=0.0, ge=0)
    method: Literal["none", "forward", "stepwise"] = "none"
    p_enter: float = Field(default=0.05, gt=0, lt=1)
    p_remove: float = Field(default=0.1, gt=0, lt=1)
    signs: bool = False
