"""A family of models in one file: naive Bayes, in which the weight of evidence of every column is a term as it is.

Its messages are those of the linear models: partners count goods and bads a bin, are told what stands for each bin, and
add up their part of a row's score, once. `docs/code-tour.md` takes it as the example of a new family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from msgspec.structs import replace
from rich.console import RenderableType

from bank_node.family.contributions import Contributions
from bank_node.family.fitted import Fitted
from bank_node.family.model_family import ModelFamily
from bank_node.family.objective import RESPONSES
from bank_node.family.scorer import Part, Scorer, ToldOf
from bank_node.family.training import TrainedRung, Training, Under
from bank_node.linear.explaining import explain_terms
from bank_node.linear.partial_scores import Scores
from bank_node.linear.rung import encode, task_of
from bank_node.linear.scorer import LinearScorer, linear_of
from bank_node.linear.show import exported_terms, linear_summary, linear_table
from bank_node.linear.task import GlmTask
from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel
from bank_node.settings.timing import Stopwatch
from protocol.algorithms.binning import Cutting
from protocol.algorithms.boosting import Kept
from protocol.algorithms.glm import COEFFICIENT, MOST_DECIMALS, KeepTerms
from protocol.algorithms.glm_parameters import GlmParams
from protocol.job.family import JobModel
from protocol.job.fields import JobFields
from protocol.job.ladder import Rung
from protocol.job.plan import PlannedModel
from protocol.messages import I64
from protocol.role import Script, ask, drive
from protocol.table import Column

KIND = "naive-bayes"
COLUMNS = GlmParams(max_bin=4, min_iv=0.0, max_columns=5)
"""How the linear models' code picks and encodes its columns."""


# --- what both sides read in a job: it would be protocol/job/naive_bayes.py


class NaiveBayesModel(JobModel):
    """[[models]] of kind naive-bayes; there is nothing to choose."""

    kind: Literal["naive-bayes"]
    params: GlmParams = COLUMNS

    def cutting(self, job: JobFields) -> Cutting:
        return Cutting(self.params.max_bin)

    def plan(self, job: JobFields, partner: str, name: str, fitted: Sequence[Rung]) -> PlannedModel:
        """Goods and bads a bin, and one vector of partial scores a rung."""
        return PlannedModel(
            name, len(fitted), 0, 0, self.cutting(job),
            bin_tables=True,
            columns=self.params.most_columns(partner),
            releases=len(fitted),
            alone=sum(len(rung.partners) == 1 for rung in fitted),
        )  # fmt: skip


# --- what the bank makes of it: it would be bank_node/naive_bayes/


@dataclass(frozen=True, kw_only=True)
class Summed(Fitted):
    """What a fit ends with. parts: of every row's score, the bank's and each partner's, shape (1 + partners, n)."""

    model: LinearModel
    parts: I64


def add_up(task: GlmTask) -> Script[Summed]:
    """The log-odds of all rows, less every column's weight of evidence, which is positive for goods."""
    coefficients = np.full(int(task.starts[-1]), -COEFFICIENT, dtype=np.int64)
    coefficients[0] = round(task.family.base() * COEFFICIENT)
    at = yield from Scores(task).release(coefficients, MOST_DECIMALS)
    blocks = {view.name: coefficients[task.block(k)].tolist() for k, view in enumerate(task.partners)}
    asked = {v.name: KeepTerms(design=v.design, values=tuple(blocks[v.name]), group="") for v in task.partners}
    kept = yield from ask(asked, Kept)
    model = LinearModel(
        objective=task.params.objective,
        parties=(task.bank, *blocks),
        intercept=int(coefficients[0]),
        scale=1.0,
        decimals={view.name: view.decimals for view in task.partners},
        own=tuple(replace(term, coefficient=-COEFFICIENT) for term in task.own.terms),
        theirs=tuple(term for view in task.partners for term in view.terms(blocks[view.name])),
    )
    return Summed(model=model, margin=model.margin(at.score), queries=0, kept=kept, parts=at.known)


class NaiveBayes(ModelFamily[NaiveBayesModel, Summed, LinearModel]):
    """A sum of weights of evidence."""

    kind: ClassVar = KIND
    asks = NaiveBayesModel
    stored = LinearModel

    def prepare(self, under: Under, clock: Stopwatch) -> None:
        under.training.prepared[under.model] = encode(under, self.asked(under.job_model).params, clock, None)

    def train(self, under: Under, rung: Rung, clock: Stopwatch) -> TrainedRung[Summed]:
        params, encoded = self.asked(under.job_model).params, under.training.prepared[under.model]
        fitted = drive(add_up(task_of(under, params, encoded, rung, clock)), under.exchange)
        model, test = fitted.model, under.training.parts == "test"
        whole, response = fitted.parts[:, test].sum(axis=0), RESPONSES[model.objective]
        absent = {
            p: response(model.margin(whole - fitted.parts[k, test] + model.not_held(p)))
            for k, p in enumerate(model.parties)
            if k and not rung.placebo
        }
        return under.trained(rung, fitted, response(fitted.margin), absent, encoded.own.terms, clock)

    def scorer(self, model: LinearModel) -> Scorer:
        return LinearScorer(model)

    def explain(self, folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
        return explain_terms(folder, columns, told)

    def export(self, model: LinearModel) -> dict[str, Any]:
        return exported_terms(model)

    def summary(self, folder: ModelFolder) -> dict[str, Any]:
        return linear_summary(folder, linear_of(folder))

    def shown(self, folder: ModelFolder, most: int) -> Sequence[RenderableType]:
        return [linear_table(folder, linear_of(folder))]

    def handles(self, trained: TrainedRung[Summed], partner: str) -> int:
        return len(trained.fitted.model.of(partner))

    def told(self, training: Training, trained: TrainedRung[Summed], rows: I64) -> ToldOf:
        each = zip(trained.fitted.model.parties[1:], trained.fitted.parts[1:], strict=True)
        return {p: Part(part[rows]) for p, part in each}

    def explained_by(
        self, training: Training, trained: TrainedRung[Summed]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, ...]]]:
        bank, *partners = trained.fitted.model.parties
        own = trained.fitted.model.own
        zeros = dict.fromkeys(partners, (0.0,)) | {bank: (0.0,) * len(own)}  # a WOE of 0 is that of all rows
        return {bank: tuple(term.column for term in own)}, zeros

    def importance(self, fitted: Summed) -> dict[str, float]:
        spread = fitted.parts.std(axis=1)
        return {p: float(s / spread.sum()) for p, s in zip(fitted.model.parties, spread, strict=True)}
