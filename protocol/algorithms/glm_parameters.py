"""Parameters of the generalised linear models: logistic, linear and Poisson regression."""

from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from protocol.algorithms.binning import MAX_BIN
from protocol.algorithms.parameters import OBJECTIVES, Task
from protocol.settings.added_keys import WithAddedKeys

MOST_COLUMNS: Final = 30
"""Columns of one party in a model: products of two columns grow with their square."""
OBJECTIVE_OF: Final = {"logistic": "binary:logistic", "linear": "reg:squarederror", "poisson": "count:poisson"}
"""By family: XGBoost's name of the same loss."""


class GlmParams(WithAddedKeys):
    """Parameters of a `glm` model.

    encoding: what stands for a value: the weight of evidence of its bin (of a 0/1 label only), or the value itself,
    standardised. columns: by party, instead of those chosen by information value: names of the bank's, "column 3" of a
    partner's, as the bin tables number them. max_columns, min_iv: of those chosen, a party.
    A fit minimises the sum over the rows of weight times minus log-likelihood (half the squared error of a linear
    model) + reg_lambda / 2 * sum of squared coefficients + reg_alpha * sum of absolute ones, without the intercept's.
    tol: largest step of any coefficient, in standard errors, at which the fit ends. offset, exposure: a column of the
    bank that is added to the margin, or its logarithm is (`poisson`), with no coefficient.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    ADDED: ClassVar = ("reg_alpha", "offset", "exposure")

    family: Literal["logistic", "linear", "poisson"] = "logistic"
    encoding: Literal["auto", "woe", "numeric"] = "auto"
    columns: dict[str, tuple[str, ...]] = Field({})
    max_columns: int = Field(20, ge=1, le=MOST_COLUMNS)
    min_iv: float = Field(0.02, ge=0)
    max_bin: int = Field(8, ge=2, le=MAX_BIN)
    reg_lambda: float = Field(0.0, ge=0, allow_inf_nan=False)
    reg_alpha: float = Field(0.0, ge=0, allow_inf_nan=False)
    max_iter: int = Field(12, ge=1, le=50)
    tol: float = Field(1e-4, gt=0, le=0.1)
    offset: str = ""
    exposure: str = ""

    @property
    def offset_column(self) -> str:
        """The column that has no coefficient, "" if there is none."""
        return self.offset or self.exposure

    @property
    def objective(self) -> str:
        """XGBoost's name of the loss."""
        return OBJECTIVE_OF[self.family]

    @property
    def task(self) -> Task:
        """What the label is."""
        return OBJECTIVES[self.objective]

    @property
    def penalised(self) -> bool:
        """Whether a penalty gives a fit an end whatever the columns are."""
        return bool(self.reg_lambda or self.reg_alpha)

    @property
    def by_woe(self) -> bool:
        """Whether columns are encoded by weight of evidence."""
        return self.encoding == "woe" or (self.encoding == "auto" and self.family == "logistic")

    def most_columns(self, party: str) -> int:
        """How many columns of a party the model has at most: as numbers, one may become several."""
        return len(self.columns[party]) if party in self.columns and self.by_woe else self.max_columns

    @model_validator(mode="after")
    def _consistent(self) -> "GlmParams":
        if self.encoding == "woe" and self.family != "logistic":
            raise ValueError('encoding "woe" needs a label of 0 and 1: family "logistic"')
        if self.exposure and (self.family != "poisson" or self.offset):
            raise ValueError('exposure is of family "poisson", and stands in place of offset')
        for party, columns in self.columns.items():
            if not 1 <= len(columns) <= MOST_COLUMNS:
                raise ValueError(f"columns of {party} are 1 to {MOST_COLUMNS}")
            if len(set(columns)) < len(columns):
                raise ValueError(f"columns of {party} name one twice")
        return self
