"""Parameters of the boosted trees: XGBoost's names and meaning where XGBoost has them."""

from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from protocol.algorithms.binning import MAX_BIN, Cutting
from protocol.settings.added_keys import WithAddedKeys

Task = Literal["binary", "regression", "multiclass"]
OBJECTIVES: Final[dict[str, Task]] = {
    "binary:logistic": "binary",
    "reg:squarederror": "regression",
    "count:poisson": "regression",
    "reg:tweedie": "regression",
    "multi:softprob": "multiclass",
}
"""By objective: what its label is."""
_METRICS: Final = {
    "binary:logistic": ("logloss", "auc", "ks"),
    "reg:squarederror": ("rmse", "mae"),
    "count:poisson": ("poisson-nloglik", "rmse", "mae"),
    "reg:tweedie": ("tweedie-nloglik", "rmse", "mae"),
    "multi:softprob": ("mlogloss", "merror"),
}
"""By objective: what early stopping may go by; the first is the default."""

AUTO: Final = "10x3"
"""What discovery = "auto" stands for: at most ten rounds of three encrypted trees."""


class BoostingParams(WithAddedKeys):
    """Parameters of a `boosting` model.

    Ours, not XGBoost's: reveal_cost, the gain that a split must bring beyond the best known one to be worth
    revealing a partner's threshold that the bank does not know yet; and ks among the metrics.
    discovery: which trees are encrypted. "RxT": at most R rounds of T, whose splits the bank then fits all trees on
    alone; "auto": 10x3; "all": every tree. split_choice: which new splits a node
    prefers. warm_start: whether to begin with all splits that the bank knows from earlier jobs on the same bins.
    base_score: prediction before the first tree; that of the best constant model over the training rows if not given.
    monotone_constraints: by the bank's own columns; a partner declares its own at its node.
    interaction_constraints: groups of the bank's columns and of parties.
    max_cat_to_onehot, max_cat_threshold: of categories, XGBoost's; cat_smooth, cat_l2, min_data_per_group: LightGBM's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    ADDED: ClassVar = (
        "objective", "num_class", "tweedie_variance_power", "eval_metric", "max_delta_step", "monotone_constraints",
        "interaction_constraints", "max_cat_to_onehot", "max_cat_threshold", "cat_smooth", "cat_l2",
        "min_data_per_group", "discovery", "split_choice", "warm_start",
    )  # fmt: skip

    objective: Literal["binary:logistic", "reg:squarederror", "count:poisson", "reg:tweedie", "multi:softprob"] = (
        "binary:logistic"
    )
    num_class: int = Field(0, ge=0, le=100)
    tweedie_variance_power: float = Field(1.5, gt=1, lt=2)
    n_estimators: int = Field(100, ge=1, le=10_000)
    max_depth: int = Field(3, ge=1, le=8)
    learning_rate: float = Field(0.2, gt=0, le=1)
    max_bin: int = Field(16, ge=2, le=MAX_BIN)
    reg_lambda: float = Field(1.0, ge=0)
    reg_alpha: float = Field(0.0, ge=0)
    gamma: float = Field(0.0, ge=0)
    min_child_weight: float = Field(1.0, ge=0)
    max_delta_step: float | None = Field(None, ge=0)
    subsample: float = Field(1.0, gt=0, le=1)
    colsample_bytree: float = Field(1.0, gt=0, le=1)
    scale_pos_weight: float = Field(1.0, gt=0)
    monotone_constraints: dict[str, Literal[-1, 0, 1]] = Field({})
    interaction_constraints: tuple[tuple[str, ...], ...] = ()
    early_stopping_rounds: int = Field(0, ge=0)
    eval_metric: str | None = None
    base_score: float | None = None
    reveal_cost: float = Field(0.0, ge=0)
    max_cat_to_onehot: int = Field(4, ge=1)
    max_cat_threshold: int = Field(64, ge=1)
    cat_smooth: float = Field(30.0, ge=0)
    cat_l2: float = Field(20.0, ge=0)
    min_data_per_group: int = Field(100, ge=0)
    discovery: str = Field("auto", pattern=r"^(auto|all|[1-9][0-9]{0,2}x[1-9][0-9]{0,2})$")
    split_choice: Literal["gain", "gain_per_bit"] = "gain"
    warm_start: bool = False

    @property
    def cutting(self) -> Cutting:
        """How every party bins its columns for these trees."""
        return Cutting(self.max_bin)

    def encrypted_rounds(self, split_rows: str) -> int:
        """Trees of one fit that are encrypted at most; with several classes, of each."""
        rounds = self.rounds(split_rows)
        return self.n_estimators if rounds is None else rounds[0] * rounds[1]

    def rounds(self, split_rows: str) -> tuple[int, int] | None:
        """Rounds of discovery at most, and encrypted trees a round; None where every tree is encrypted.

        With split_rows = "node" a split is known for some rows only, and the bank cannot fit on it alone. Of a model
        that has no more trees than discovery may encrypt, "auto" encrypts every tree.
        """
        if self.discovery == "all" or split_rows == "node":
            return None
        most, _, trees = (AUTO if self.discovery == "auto" else self.discovery).partition("x")
        few = self.discovery == "auto" and self.n_estimators <= int(most) * int(trees)
        return None if few else (int(most), int(trees))

    @property
    def step_cap(self) -> float:
        """Largest size of a leaf's value before shrinkage; 0 for none."""
        default = 0.7 if self.objective == "count:poisson" else 0.0
        return default if self.max_delta_step is None else self.max_delta_step

    @property
    def watched(self) -> str:
        """What early stopping goes by."""
        return self.eval_metric or _METRICS[self.objective][0]

    @property
    def task(self) -> Task:
        """What the label is: 0 or 1, a number, or one of several classes."""
        return OBJECTIVES[self.objective]

    @property
    def outputs(self) -> int:
        """Trees a round."""
        return self.num_class if self.task == "multiclass" else 1

    @model_validator(mode="after")
    def _consistent(self) -> "BoostingParams":
        if (self.task == "multiclass") != (self.num_class >= 2):
            raise ValueError("num_class is the number of classes, 2 or more, of multi:softprob and of no other")
        if self.watched not in _METRICS[self.objective]:
            raise ValueError(f"eval_metric of {self.objective} is one of {', '.join(_METRICS[self.objective])}")
        if self.scale_pos_weight != 1 and self.task != "binary":
            raise ValueError("scale_pos_weight is for binary:logistic")
        base = self.base_score
        if base is not None and self.task == "binary" and not 0 < base < 1:
            raise ValueError("base_score of binary:logistic is a probability between 0 and 1")
        if base is not None and self.objective in ("count:poisson", "reg:tweedie") and base <= 0:
            raise ValueError(f"base_score of {self.objective} is above 0")
        return self
