"""Parameters of the boosted trees: XGBoost's names and meaning where XGBoost has them."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from protocol.algorithms.binning import MAX_BIN

EvalMetric = Literal["logloss", "auc", "ks"]

ADDED: Final = ("eval_metric", "max_delta_step", "monotone_constraints", "interaction_constraints")
"""Keys that the first version did not have. At their defaults they are not written, so that jobs keep their digests."""


class BoostingParams(BaseModel):
    """Parameters of a `boosting` model.

    Ours, not XGBoost's: reveal_cost, the gain that a split must bring beyond the best known one to be worth
    revealing a partner's threshold that the bank does not know yet; and ks among the metrics.
    base_score: probability of a bad before the first tree; the training rows' bad rate if not given.
    monotone_constraints: by the bank's own columns; a partner declares its own at its node.
    interaction_constraints: groups of the bank's columns and of parties.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_estimators: int = Field(100, ge=1, le=10_000)
    max_depth: int = Field(3, ge=1, le=8)
    learning_rate: float = Field(0.2, gt=0, le=1)
    max_bin: int = Field(16, ge=2, le=MAX_BIN)
    reg_lambda: float = Field(1.0, ge=0)
    reg_alpha: float = Field(0.0, ge=0)
    gamma: float = Field(0.0, ge=0)
    min_child_weight: float = Field(1.0, ge=0)
    max_delta_step: float = Field(0.0, ge=0)
    subsample: float = Field(1.0, gt=0, le=1)
    colsample_bytree: float = Field(1.0, gt=0, le=1)
    scale_pos_weight: float = Field(1.0, gt=0)
    monotone_constraints: dict[str, Literal[-1, 0, 1]] = {}
    interaction_constraints: tuple[tuple[str, ...], ...] = ()
    early_stopping_rounds: int = Field(0, ge=0)
    eval_metric: EvalMetric = "logloss"
    base_score: float | None = Field(None, gt=0, lt=1)
    reveal_cost: float = Field(0.0, ge=0)

    @property
    def step_cap(self) -> float:
        """Largest size of a leaf's value before shrinkage; 0 for none."""
        return self.max_delta_step

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {k: v for k, v in handler(self).items() if k not in ADDED or getattr(self, k) != fields[k].default}
