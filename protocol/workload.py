"""What a job asks of one partner at most: both sides compute it from the same file, with the same figures.

The bank declares it when it opens the job; a partner sees it beforehand (`preview`), approves it, and then holds the
bank to it.
"""

import msgspec

from protocol.job import Job
from protocol.ladder import rungs


class PlannedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a job with one partner, over all rungs that the partner is in.

    name: of the model. rungs: how many. trees: in all rungs and folds together. depth, max_bin: of its parameters.
    bin_tables: whether goods and bads a bin are asked for over this model's bins.
    """

    name: str
    rungs: int
    trees: int
    depth: int
    max_bin: int
    bin_tables: bool = False

    @property
    def vectors_a_tree(self) -> int:
        """Nodes of a tree that are summed at most: the root, and of any two siblings the smaller one."""
        return int(2 ** (self.depth - 1))

    @property
    def equations_a_tree(self) -> int:
        """A packed (g, h) counts two, and so do a g and an h."""
        return 2 * self.vectors_a_tree

    @property
    def equations(self) -> int:
        """Sums a row space, of all its trees; and rows and bads a bin."""
        return self.trees * self.equations_a_tree + (2 if self.bin_tables else 0)


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All models of a job with one partner, in the job's order."""

    models: tuple[PlannedModel, ...]

    @property
    def equations(self) -> int:
        """Of all models."""
        return sum(model.equations for model in self.models)

    @property
    def bins(self) -> frozenset[int]:
        """Numbers of bins a column that are asked for."""
        return frozenset(model.max_bin for model in self.models)

    def admits(self, max_bin: int, equations: int) -> bool:
        """Whether the job has a model of so many bins and at least so many equations."""
        return any(model.max_bin == max_bin and equations <= model.equations for model in self.models)


def workload(job: Job, partner: str) -> Workload:
    """What the job asks of a partner. Raises: UsageError: its ladder names a party that it does not have."""
    ladder = rungs(job.bank, job.partners, job.run.ladder, job.report.placebo)
    with_it = [rung for rung in ladder if partner in rung.partners]
    trainings = len(with_it) + job.split.folds * sum(not rung.placebo for rung in with_it)
    named = enumerate(zip(job.model_names, (model.params for model in job.models), strict=True))
    return Workload(
        tuple(
            PlannedModel(
                name, len(with_it), trainings * p.n_estimators * p.outputs, p.max_depth, p.max_bin,
                bin_tables=job.report.bin_tables and number == 0,
            )
            for number, (name, p) in named
        )
    )  # fmt: skip
