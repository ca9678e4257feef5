"""What a job asks of one partner at most: both sides compute it from the same file, with the same figures.

The bank declares it when it opens the job; a partner sees it beforehand (`preview`), approves it, and then holds the
bank to it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from protocol.algorithms.binning import Cutting
from protocol.algorithms.glm_parameters import GlmParams
from protocol.job.job import Job
from protocol.job.ladder import Rung, rungs
from protocol.job.models import BoostingModel, GlmModel

BINS: Final = "bins"
"""What bin tables are called among the models of a plan; they come last, and are opened first."""


class PlannedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a job with one partner, over all rungs that the partner is in.

    name: of the model. fits: how many, a rung each and a fold of a rung each. trees: encrypted, in all fits together.
    depth: of its parameters.
    cutting: of its bins. bin_tables: whether goods and bads a bin are asked for; tested: and the rows of the test part.
    columns: of the partner in a linear model, at most; 0 of trees. vectors: of the bank, that are summed over them, in
    all rungs. releases: partial scores; alone: of these, in rungs that have no other partner.
    """

    name: str
    fits: int = msgspec.field(name="rungs")
    trees: int
    depth: int
    cutting: Cutting
    bin_tables: bool = False
    tested: bool = False
    columns: int = 0
    vectors: int = 0
    releases: int = 0
    alone: int = 0

    @property
    def vectors_a_tree(self) -> int:
        """Nodes of a tree that are summed at most: the root, and of any two siblings the smaller one."""
        return int(2 ** (self.depth - 1))

    @property
    def equations_a_tree(self) -> int:
        """A packed (g, h) counts two, and so do a g and an h."""
        return 2 * self.vectors_a_tree

    @property
    def counts(self) -> int:
        """Vectors whose rows are counted a bin."""
        return 2 + self.tested if self.bin_tables else 0

    @property
    def equations(self) -> int:
        """Sums a row space, of all its trees or steps; and rows and bads a bin."""
        return self.by_kind.total()

    @property
    def by_kind(self) -> Counter[str]:
        """The same, by the kind of label that they are asked under."""
        return Counter({"sums": self.trees * self.equations_a_tree, "counts": self.counts, "cross": self.vectors})


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
    real = sum(not rung.placebo for rung in with_it)
    models = []
    for number, (name, model) in enumerate(zip(job.model_names, job.models, strict=True)):
        cutting = job.cutting_of(model)
        if isinstance(model, BoostingModel):
            p, trainings = model.params, len(with_it) + job.split.folds * job.split.repeats * real
            trees = trainings * p.encrypted_rounds(job.run.split_rows) * p.outputs
            models.append(PlannedModel(name, trainings, trees, p.max_depth, cutting))
        else:
            linear = model.params if isinstance(model, GlmModel) else model.params.glm
            fitted = [rung for rung in with_it if not (number and rung.placebo)]
            models.append(_planned_glm(job, partner, name, linear, cutting, fitted))
    if job.report.bin_tables:
        models.append(PlannedModel(BINS, 0, 0, 1, job.cutting, bin_tables=True, tested=job.selection is not None))
    return Workload(tuple(models))


def releases_of(steps: int) -> int:
    """Partial scores of a linear fit of so many steps: one a step, and one at the end where the last was shortened."""
    return steps + 1


def _planned_glm(
    job: Job, partner: str, name: str, p: GlmParams, cutting: Cutting, fitted: Sequence[Rung]
) -> PlannedModel:
    """Every step asks a residual, a weight, and a weighted column of the bank each; so does the end."""
    fits, alone = len(fitted), sum(len(rung.partners) == 1 for rung in fitted)
    return PlannedModel(
        name, fits, 0, 0, cutting,
        bin_tables=p.task == "binary",
        tested=job.selection is not None,
        columns=p.most_columns(partner),
        vectors=fits * ((p.max_iter + 1) * (2 + p.most_columns(job.bank)) + 1),
        releases=fits * releases_of(p.max_iter),
        alone=alone * releases_of(p.max_iter),
    )  # fmt: skip
