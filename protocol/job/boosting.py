"""Models of boosted trees in a job."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from protocol.algorithms.binning import Cutting
from protocol.algorithms.parameters import BoostingParams
from protocol.contract import Contract
from protocol.job.family import JobModel, require_own
from protocol.job.ladder import Rung
from protocol.job.plan import PlannedModel

if TYPE_CHECKING:
    from protocol.job.fields import JobFields


class BoostingModel(JobModel):
    """[[models]] of kind boosting: parameters under XGBoost's names where XGBoost has them."""

    FOLDS: ClassVar = True
    NOISY: ClassVar = True

    kind: Literal["boosting"] = "boosting"
    params: BoostingParams = BoostingParams()

    def cutting(self, job: "JobFields") -> Cutting:
        return self.params.cutting

    def plan(self, job: "JobFields", partner: str, name: str, fitted: Sequence[Rung]) -> PlannedModel:
        """Every fit may encrypt as many trees as its parameters say; so may every fold of a rung, but the placebo's."""
        params, folds = self.params, job.split.folds * job.split.repeats
        fits = sum(1 if rung.placebo else 1 + folds for rung in fitted)
        trees = fits * params.encrypted_rounds(job.run.split_rows) * params.outputs
        return PlannedModel(name, fits, trees, params.max_depth, self.cutting(job))

    def require(self, job: "JobFields") -> None:
        """Columns that are named are the bank's, and early stopping has rows to judge on."""
        for column in self.params.monotone_constraints:
            require_own(job, job.bank, column, "monotone_constraints")
        for name in (name for group in self.params.interaction_constraints for name in group):
            if name in job.parties and name in job.parties[job.bank].columns:
                raise ValueError(f"{name!r} in interaction_constraints is both a party and a column; rename one")
            if name not in job.parties:
                require_own(job, job.bank, name, "interaction_constraints")
        if self.params.early_stopping_rounds and job.split.kind != "column" and not job.split.validation:
            raise ValueError(
                "early_stopping_rounds judges on validation rows, and there are none: set split.validation, or leave "
                "early_stopping_rounds at 0"
            )

    def fewest_matches(self, contract: Contract) -> int:
        return 2 * max(contract.min_rows_per_bin, contract.min_rows_per_node)

    @property
    def num_class(self) -> int:
        return self.params.num_class

    @property
    def thresholds_of(self) -> int:
        return self.params.max_bin

    @property
    def variance_power(self) -> float | None:
        by_tweedie = self.objective == "reg:tweedie"
        return self.params.tweedie_variance_power if by_tweedie else super().variance_power


def boosting_models(job: "JobFields") -> tuple[BoostingModel, ...]:
    """The models of a job that are boosted trees: for experiments that are of these alone."""
    return tuple(model for model in job.models if isinstance(model, BoostingModel))
