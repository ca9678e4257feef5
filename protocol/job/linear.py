"""Linear models in a job: generalised linear models, and scorecards, which are fitted as one of these."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from protocol.algorithms.binning import Cutting
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.errors import nearest
from protocol.job.family import JobModel, require_own
from protocol.job.ladder import Rung
from protocol.job.plan import PlannedModel
from protocol.settings.preparation import USUAL

if TYPE_CHECKING:
    from protocol.job.fields import JobFields


class LinearJobModel(JobModel):
    """A model that is fitted as a regression."""

    @property
    @abstractmethod
    def glm(self) -> GlmParams:
        """The regression's parameters."""

    def plan(self, job: "JobFields", partner: str, name: str, fitted: Sequence[Rung]) -> PlannedModel:
        """Every step asks a residual, a weight, and a weighted column of the bank each; so does the end."""
        glm, fits, alone = self.glm, len(fitted), sum(len(rung.partners) == 1 for rung in fitted)
        return PlannedModel(
            name, fits, 0, 0, self.cutting(job),
            bin_tables=glm.task == "binary",
            tested=job.selection is not None,
            columns=glm.most_columns(partner),
            vectors=fits * ((glm.max_iter + 1) * (2 + glm.most_columns(job.bank)) + 1),
            releases=fits * releases_of(glm.max_iter),
            alone=alone * releases_of(glm.max_iter),
        )  # fmt: skip

    def require(self, job: "JobFields") -> None:
        """The bank's columns by name, a partner's by number or the name that it tells: only it knows its own."""
        for party, columns in self.glm.columns.items():
            if party not in job.parties:
                raise ValueError(f"{party!r} in a model's columns is no party{nearest(party, list(job.parties))}")
            known = set(job.parties[party].names.values())
            for name in columns:
                if party == job.bank:
                    require_own(job, party, name, "a model's columns")
                elif not re.fullmatch("column [1-9][0-9]*", name) and name not in known:
                    what = 'a partner\'s are numbered, as "column 3", or go by a name that it tells'
                    raise ValueError(f"{name!r} in a model's columns of {party}: {what}")

    @property
    def objective(self) -> str:
        return self.glm.objective

    @property
    def most_steps(self) -> int:
        return self.glm.max_iter


class GlmModel(LinearJobModel):
    """[[models]] of kind glm: a generalised linear model."""

    kind: Literal["glm"]
    params: GlmParams = GlmParams()

    @property
    def glm(self) -> GlmParams:
        return self.params

    def cutting(self, job: "JobFields") -> Cutting:
        """Bins as [binning] says, and the treatment of columns that are taken as numbers."""
        treatment = job.preparation.treatment()
        told = None if self.params.by_woe or treatment == USUAL else treatment
        return Cutting(self.params.max_bin, job.binning.kind, job.binning.special, told)

    @property
    def offsets(self) -> tuple[str, ...]:
        return (self.params.offset_column,) if self.params.offset_column else ()

    @property
    def takes_numbers(self) -> bool:
        return not self.params.by_woe


class ScorecardModel(LinearJobModel):
    """[[models]] of kind scorecard: a logistic regression on weights of evidence, told in points."""

    kind: Literal["scorecard"]
    params: ScorecardParams = ScorecardParams()

    @property
    def glm(self) -> GlmParams:
        return self.params.glm

    def cutting(self, job: "JobFields") -> Cutting:
        """The fine bins of bin tables, which [binning] then joins."""
        return job.cutting


def releases_of(steps: int) -> int:
    """Partial scores of a linear fit of so many steps: one a step, and one at the end where the last was shortened."""
    return steps + 1


def linear_models(job: "JobFields") -> tuple[LinearJobModel, ...]:
    """The models of a job that are fitted as a regression: for checks that are of these alone."""
    return tuple(model for model in job.models if isinstance(model, LinearJobModel))
