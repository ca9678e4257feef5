"""The families of linear models: generalised linear models, and scorecards, which are fitted as one of these."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from rich.console import RenderableType

from bank_node.family.contributions import Contributions
from bank_node.family.model_family import Capability, ModelFamily
from bank_node.family.scorer import Part, Scorer, ToldOf
from bank_node.family.training import TrainedRung, Training, Under
from bank_node.linear.explaining import explain_terms
from bank_node.linear.facts import linear_facts
from bank_node.linear.inference import reasons_of
from bank_node.linear.pmml import pmml_of
from bank_node.linear.rows_released import with_releases
from bank_node.linear.rung import encode, fit_rung, offset_of
from bank_node.linear.scorecards import Counted, scorecard_of
from bank_node.linear.scorer import LinearScorer, linear_of
from bank_node.linear.selection_facts import selection_facts
from bank_node.linear.show import exported_terms, linear_summary, linear_table
from bank_node.linear.task import FittedGlm
from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel
from bank_node.models.offset import require_offset
from bank_node.models.show_scorecard import scorecard_table
from bank_node.record.facts import Leakage
from bank_node.record.scorecard import Scorecard
from bank_node.settings.timing import Stopwatch
from protocol.algorithms.glm_parameters import GlmParams
from protocol.he.base import MAX_PRODUCT, MAX_VALUE
from protocol.he.blind.wide_flooding import flood_cost
from protocol.job import Binning, Job
from protocol.job.ladder import Rung
from protocol.job.linear import GlmModel, LinearJobModel, ScorecardModel
from protocol.messages import I64
from protocol.table import Column, Table

Asked = TypeVar("Asked", bound=LinearJobModel)


class Linear(ModelFamily[Asked, FittedGlm, LinearModel]):
    """An intercept, and a term a column of every party."""

    stored = LinearModel

    def joined(self, job: Job) -> Binning | None:
        """How fine bins are joined before they are weighed; None: they are not."""
        return None

    def validate(self, asked: Asked, table: Table) -> None:
        super().validate(asked, table)
        if found := offset_of(asked.glm, table):
            require_offset(*found, table.party)

    def prepare(self, under: Under, clock: Stopwatch) -> None:
        """Encode the columns, once for all rungs."""
        glm, joined = self.asked(under.job_model).glm, self.joined(under.training.job)
        under.training.prepared[under.model] = encode(under, glm, clock, joined)

    def train(self, under: Under, rung: Rung, clock: Stopwatch) -> TrainedRung[FittedGlm]:
        glm, encoded = self.asked(under.job_model).glm, under.training.prepared[under.model]
        return fit_rung(under, glm, encoded, rung, clock)

    def scorer(self, model: LinearModel) -> Scorer:
        return LinearScorer(model)

    def explain(self, folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
        """By its terms; each partner has one share (linear/explaining.py)."""
        return explain_terms(folder, columns, told)

    def export(self, model: LinearModel) -> dict[str, Any]:
        return exported_terms(model)

    def summary(self, folder: ModelFolder) -> dict[str, Any]:
        return linear_summary(folder, linear_of(folder))

    def shown(self, folder: ModelFolder, most: int) -> Sequence[RenderableType]:
        return [linear_table(folder, linear_of(folder))]

    def handles(self, trained: TrainedRung[FittedGlm], partner: str) -> int:
        return len(trained.fitted.model.of(partner))

    def told(self, training: Training, trained: TrainedRung[FittedGlm], rows: I64) -> ToldOf:
        return {p: Part(part[rows]) for p, part in trained.fitted.told.items()}

    def explained_by(
        self, training: Training, trained: TrainedRung[FittedGlm]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, ...]]]:
        """The bank's terms by name; and the mean of each, and of each partner's part, over the rows trained on."""
        bank, fitted, train = training.table.party, trained.fitted, training.parts == "train"
        called = training.job.parties[bank].names
        columns = {column.name: column.rows(train) for column in training.table.columns}
        means = tuple(float(t.encode(columns[t.column]).mean()) * t.coefficient for t in fitted.model.own)
        parts = {p: (float(part[train].mean()),) for p, part in fitted.told.items()}
        return {bank: tuple(called.get(t.column, t.column) for t in fitted.model.own)}, {bank: means, **parts}

    def about(self, training: Training, trained: TrainedRung[FittedGlm]) -> dict[str, Any]:
        return {"masked": True} if trained.fitted.summed else {}

    def importance(self, fitted: FittedGlm) -> dict[str, float]:
        """Shares of the spread of each party's part of the score; partners together where their sum alone is known."""
        parties, spread = [fitted.model.parties[0], *fitted.told], fitted.parts.std(axis=1)
        total = float(spread.sum())
        return {p: float(s) / total if total else 0.0 for p, s in zip(parties, spread, strict=True)}

    def facts(self, training: Training, trained: TrainedRung[FittedGlm]) -> dict[str, Any]:
        """Coefficients with their errors and tests, and why columns were left out."""
        params = self._params(training, trained)
        return {
            "linear": linear_facts(training, trained, params),
            "considered": selection_facts(training, trained, params),
        }

    def disclosed(self, training: Training, trained: TrainedRung[FittedGlm], partner: str, leakage: Leakage) -> Leakage:
        return with_releases(training, trained, partner, leakage)

    def kept_out(self, training: Training, trained: TrainedRung[FittedGlm]) -> dict[str, str]:
        model = trained.fitted.model
        owners = ["", *(training.table.party for _ in model.own)]
        owners += [party for party in model.parties[1:] for _ in model.of(party)]
        reasons = reasons_of(trained.fitted, self._params(training, trained))
        few = [p for p, why in zip(owners, reasons, strict=True) if why == "few"]
        return dict.fromkeys(few, "min_glm_columns")

    def costs_of_exact_sums(self, training: Training, trained: TrainedRung[FittedGlm]) -> list[float]:
        """An answer is from all rows of the largest matrix that there may be: the bank does not know the partners'."""
        costs = []
        for partner in trained.rung.partners:
            columns = len(trained.fitted.model.of(partner))
            n, products = training.alignments[partner].rows, columns * (columns + 1) // 2
            largest = np.repeat([n * float(MAX_VALUE) ** 2, n * float(MAX_PRODUCT) ** 2], [columns, products])
            costs.append(flood_cost(largest))
        return costs

    def _params(self, training: Training, trained: TrainedRung[FittedGlm]) -> GlmParams:
        return self.asked(training.job.model(trained.model)).glm


class GeneralisedLinear(Linear[GlmModel]):
    """Logistic, linear and Poisson regression."""

    kind: ClassVar = "glm"
    asks = GlmModel


class Scorecards(Linear[ScorecardModel]):
    """A logistic regression on weights of evidence, told in points."""

    kind: ClassVar = "scorecard"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"pmml"})
    asks = ScorecardModel

    def joined(self, job: Job) -> Binning:
        return job.binning

    def about(self, training: Training, trained: TrainedRung[FittedGlm]) -> dict[str, Any]:
        card = self.card(training, trained)
        return super().about(training, trained) | ({"scorecard": card.model_dump(mode="json")} if card else {})

    def facts(self, training: Training, trained: TrainedRung[FittedGlm]) -> dict[str, Any]:
        return super().facts(training, trained) | {"scorecard": self.card(training, trained)}

    def shown(self, folder: ModelFolder, most: int) -> Sequence[RenderableType]:
        cards = [scorecard_table(folder.scorecard)] if folder.scorecard else []
        return [*super().shown(folder, most), *cards]

    def pmml(self, folder: ModelFolder) -> bytes:
        if folder.scorecard is None:
            return super().pmml(folder)
        return pmml_of(folder, linear_of(folder), folder.scorecard)

    def card(self, training: Training, trained: TrainedRung[FittedGlm]) -> Scorecard | None:
        """The scorecard of a rung; none of a placebo, whose bins are those of other rows."""
        job, table = training.job, training.table
        if trained.rung.placebo:
            return None
        assert table.label is not None
        counted = Counted(
            columns=training.own[job.cutting, 0],
            views={p: training.views[p, job.cutting] for p in trained.rung.partners},
            counts=training.counts[job.cutting],
            train=training.parts == "train",
            bad=table.label > 0,
            binning=job.binning,
            names=job.parties[table.party].names,
        )
        return scorecard_of(trained.fitted.model, self.asked(job.model(trained.model)).params, counted)
