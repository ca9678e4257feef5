"""Parameters of the boosted trees: XGBoost's names and meaning where XGBoost has them."""

from pydantic import BaseModel, ConfigDict, Field

from protocol.algorithms.binning import MAX_BIN


class BoostingParams(BaseModel):
    """Parameters of a `boosting` model.

    Ours, not XGBoost's: reveal_cost, the gain that a split must bring beyond the best known one to be worth
    revealing a partner's threshold that the bank does not know yet.
    base_score: probability of a bad before the first tree; the training rows' bad rate if not given.
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
    subsample: float = Field(1.0, gt=0, le=1)
    colsample_bytree: float = Field(1.0, gt=0, le=1)
    scale_pos_weight: float = Field(1.0, gt=0)
    early_stopping_rounds: int = Field(0, ge=0)
    base_score: float | None = Field(None, gt=0, lt=1)
    reveal_cost: float = Field(0.0, ge=0)
