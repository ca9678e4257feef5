"""What a job asks of one partner at most: both sides compute it from the same file, with the same figures.

The bank declares it when it opens the job; a partner sees it beforehand (`preview`), approves it, and then holds the
bank to it. What a single model asks, its family says (`JobModel.plan`).
"""

from collections import Counter

import msgspec

from protocol.algorithms.binning import Cutting
from protocol.job.job import Job
from protocol.job.ladder import rungs
from protocol.job.plan import BINS, PlannedModel


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models of a job with one partner, in the job's order, and its bin tables."""

    models: tuple[PlannedModel, ...]

    @property
    def equations(self) -> int:
        """Of all models."""
        return self.by_kind.total()

    @property
    def by_kind(self) -> Counter[str]:
        """The same, by the kind of label: noisy sums planned for trees are no exact sums."""
        return sum((model.by_kind for model in self.models), Counter())

    @property
    def releases(self) -> int:
        """Partial scores, of all models."""
        return sum(model.releases for model in self.models)

    @property
    def cuttings(self) -> tuple[Cutting, ...]:
        """The ways in which columns are to be binned, each once."""
        return tuple(dict.fromkeys(model.cutting for model in self.models))

    def admits(self, cutting: Cutting, equations: int) -> bool:
        """Whether the job has a model of such bins and at least so many equations."""
        return any(model.cutting == cutting and equations <= model.equations for model in self.models)


def workload(job: Job, partner: str) -> Workload:
    """What the job asks of a partner. Raises: UsageError: its ladder names a party that it does not have."""
    ladder = rungs(job.bank, job.partners, job.run.ladder, job.report.placebo)
    with_it = [rung for rung in ladder if partner in rung.partners]
    models = []
    for number, (name, model) in enumerate(zip(job.model_names, job.models, strict=True)):
        fitted = [rung for rung in with_it if not (number and rung.placebo)]  # the placebo is of the first model alone
        models.append(model.plan(job, partner, name, fitted))
    if job.report.bin_tables:
        models.append(PlannedModel(BINS, 0, 0, 1, job.cutting, bin_tables=True, tested=job.selection is not None))
    return Workload(tuple(models))
