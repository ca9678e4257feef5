"""Parameters of a scorecard: a logistic regression on weights of evidence, told in points."""

from typing import ClassVar

from pydantic import ConfigDict, Field

from protocol.algorithms.glm_parameters import MOST_COLUMNS, GlmParams
from protocol.settings.added_keys import WithAddedKeys


class ScorecardParams(WithAddedKeys):
    """Parameters of a `scorecard` model. Its bins are those of [binning].

    base_score: points at which goods are to bads as base_odds. pdo: points that double these odds. decimals: of points.
    columns, max_columns, min_iv, reg_lambda, reg_alpha, max_iter, tol: as of a `glm`.
    """

    ADDED: ClassVar = ("reg_alpha",)

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_score: float = Field(600.0, allow_inf_nan=False)
    pdo: float = Field(20.0, gt=0, allow_inf_nan=False)
    base_odds: float = Field(50.0, gt=0, allow_inf_nan=False)
    decimals: int = Field(0, ge=0, le=3)
    columns: dict[str, tuple[str, ...]] = Field({})
    max_columns: int = Field(12, ge=1, le=MOST_COLUMNS)
    min_iv: float = Field(0.02, ge=0)
    reg_lambda: float = Field(0.0, ge=0, allow_inf_nan=False)
    reg_alpha: float = Field(0.0, ge=0, allow_inf_nan=False)
    max_iter: int = Field(12, ge=1, le=50)
    tol: float = Field(1e-4, gt=0, le=0.1)

    @property
    def glm(self) -> GlmParams:
        """Those of the regression."""
        return GlmParams(
            family="logistic", encoding="woe", columns=self.columns, max_columns=self.max_columns, min_iv=self.min_iv,
            reg_lambda=self.reg_lambda, reg_alpha=self.reg_alpha, max_iter=self.max_iter, tol=self.tol,
        )  # fmt: skip
