"""What every family of models tells of itself in a job: both sides ask it here, and never which family it is."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from protocol.algorithms.binning import Cutting
from protocol.algorithms.parameters import OBJECTIVES, Task
from protocol.contract import Contract
from protocol.errors import nearest
from protocol.job.ladder import Rung
from protocol.job.plan import PlannedModel
from protocol.settings.added_keys import Section

if TYPE_CHECKING:
    from protocol.job.fields import JobFields


class JobModel(Section):
    """[[models]]: what is fitted. A family is a subclass, and a line of the catalogue (protocol/job/families.py).

    FOLDS: whether it is also fitted without each of split.folds. NOISY: whether its sums carry the contract's noise.
    """

    FOLDS: ClassVar[bool] = False
    NOISY: ClassVar[bool] = False

    kind: str
    params: Any

    @abstractmethod
    def cutting(self, job: "JobFields") -> Cutting:
        """The bins that it asks for."""

    @abstractmethod
    def plan(self, job: "JobFields", partner: str, name: str, fitted: Sequence[Rung]) -> PlannedModel:
        """What it asks of a partner at most. fitted: the rungs under it that the partner is in."""

    def require(self, job: "JobFields") -> None:
        """Check the parameters against the rest of the job. Raises: ValueError: they do not fit it."""

    def fewest_matches(self, contract: Contract) -> int:
        """Matched rows of a partner below which the contract admits nothing of what the model asks."""
        return 2 * contract.min_rows_per_bin

    @property
    def objective(self) -> str:
        """XGBoost's name of the loss."""
        return str(self.params.objective)

    @property
    def task(self) -> Task:
        """What the label is."""
        return OBJECTIVES[self.objective]

    @property
    def num_class(self) -> int:
        """Classes of the label; 0 unless it is one of several classes."""
        return 0

    @property
    def offsets(self) -> tuple[str, ...]:
        """Columns of the bank that it takes without a coefficient."""
        return ()

    @property
    def takes_numbers(self) -> bool:
        """Whether it takes columns as numbers, which [preparation] is of."""
        return False

    @property
    def thresholds_of(self) -> int:
        """Bins of a column whose thresholds it asks a partner for; 0 if it asks for none."""
        return 0

    @property
    def most_steps(self) -> int:
        """Steps of a fit at most, each of which releases partial scores; 0 if it releases none."""
        return 0

    @property
    def variance_power(self) -> float | None:
        """Of the deviance by which a regression is judged: 0 squared error, 1 Poisson; None of other labels."""
        if self.task != "regression":
            return None
        return 1.0 if self.objective == "count:poisson" else 0.0


def require_own(job: "JobFields", party: str, column: str, key: str) -> None:
    """Raises: ValueError: a column that a job names is none of the party's, and no part of a date that it has."""
    columns = job.parties[party].columns
    if column not in columns and column.rpartition(".")[0] not in columns:
        raise ValueError(f"{key} names {column!r}, which is no column of {party}{nearest(column, list(columns))}")
