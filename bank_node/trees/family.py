"""The family of boosted trees."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from rich.console import RenderableType

from bank_node.family.contributions import Contributions
from bank_node.family.fitted import KnownModel
from bank_node.family.model_family import Capability, ModelFamily, Trees, Trial
from bank_node.family.scorer import Scorer, Told, ToldOf
from bank_node.family.training import TrainedRung, Training, Under
from bank_node.models.folder import ModelFolder
from bank_node.models.trees import TreeModel
from bank_node.record.facts import Discovery, OfColumn, Refit, Text
from bank_node.record.messages import say
from bank_node.settings.timing import Stopwatch
from bank_node.trees.absence import told_of
from bank_node.trees.refit_search import candidates, search
from bank_node.trees.rung import refit_rung, task_of, train_rung
from bank_node.trees.scorer import TreeScorer, handles_of, sides_of, trees_of
from bank_node.trees.shap import contributions
from bank_node.trees.show import as_table, as_tree, exported_trees, summary
from bank_node.trees.target_leakage import together
from bank_node.trees.task import Boosted
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import UsageError
from protocol.job.boosting import BoostingModel
from protocol.job.ladder import Rung
from protocol.messages import I64
from protocol.settings import check_settings
from protocol.table import Column


class BoostedTrees(ModelFamily[BoostingModel, Boosted, TreeModel]):
    """Gradient-boosted trees over the split handles of several parties."""

    kind: ClassVar = "boosting"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"folds", "discovery", "refit", "frontier"})
    asks = BoostingModel
    stored = TreeModel

    def train(self, under: Under, rung: Rung, clock: Stopwatch) -> TrainedRung[Boosted]:
        return train_rung(under, self.asked(under.job_model).params, rung, clock)

    def scorer(self, model: TreeModel) -> Scorer:
        return TreeScorer(model)

    def explain(self, folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
        """By Shapley values of the columns (trees/shap.py)."""
        model, names = trees_of(folder), folder.about.columns
        assert isinstance(names, dict)
        bits = {party: part for party, part in told.items() if isinstance(part, Told)}
        return contributions(model, names, sides_of(model, folder.about.bank, columns, bits), rows)

    def export(self, model: TreeModel) -> dict[str, Any]:
        return exported_trees(model)

    def summary(self, folder: ModelFolder) -> dict[str, Any]:
        return summary(folder)

    def shown(self, folder: ModelFolder, most: int) -> Sequence[RenderableType]:
        drawn = min(most, len(trees_of(folder).trees))
        return [as_table(folder), *(as_tree(folder, number) for number in range(drawn))]

    def handles(self, trained: TrainedRung[Boosted], partner: str) -> int:
        return handles_of(trained.fitted.model, partner)

    def told(self, training: Training, trained: TrainedRung[Boosted], rows: I64) -> ToldOf:
        views = {p: training.view(trained, p) for p in trained.rung.partners}
        return {p: told_of(view, trained.fitted.handles[p], rows) for p, view in views.items()}

    def explained_by(
        self, training: Training, trained: TrainedRung[Boosted]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, ...]]]:
        """The column of each handle: its name, or its number where the partner does not tell it."""
        bank, fitted = training.table.party, trained.fitted
        called = training.job.parties[bank].names
        found = {bank: tuple(called.get(split.column, split.column) for split in fitted.model.bank_splits)}
        for partner in trained.rung.partners:
            names = [shape.name or f"column {shape.number + 1}" for shape in training.view(trained, partner).columns]
            used = fitted.handles[partner][: handles_of(fitted.model, partner)]
            found[partner] = tuple(names[split.column] for split in used)
        return found, {}

    def importance(self, fitted: Boosted) -> dict[str, float]:
        """Shares of the gain."""
        return fitted.model.importance()

    def facts(self, training: Training, trained: TrainedRung[Boosted]) -> dict[str, Any]:
        """Discovery and refit."""
        fitted = trained.fitted
        found = Discovery(rounds=fitted.rounds, trees=fitted.encrypted_trees, queries=fitted.queries)
        if fitted.encrypted_trees and not fitted.rounds:
            return {"discovery": found}
        return {"discovery": found, "refit": Refit(trees=len(fitted.model.trees))}

    def kept_out(self, training: Training, trained: TrainedRung[Boosted]) -> dict[str, str]:
        return dict.fromkeys(trained.fitted.kept_out, "max_information_share")

    def warnings(self, training: Training, rungs: Sequence[TrainedRung[Boosted]]) -> list[Text]:
        """Columns that may be the label; a partner's by its number, since the bank does not know its name."""
        bank, out = training.table.party, list[Text]()
        names = [c.name for c in training.table.columns if c.name not in training.dropped.get(bank, ())]
        for s in together([trained.fitted.leaking_columns for trained in rungs]):
            column = repr(names[s.number]) if s.party == bank else f"column {s.number + 1}"
            text = say("run_target_leakage", party=s.party, column=column, auc=f"{s.auc:.3f}")
            out.append(text if s.party == bank else OfColumn(en=text.en, zh=text.zh, party=s.party, number=s.number))
        return out

    def trees(self, fitted: Boosted) -> Trees:
        return Trees(len(fitted.model.trees), fitted.encrypted_trees)

    def known(self, trained: TrainedRung[Boosted]) -> KnownModel:
        fitted = trained.fitted
        return KnownModel(
            trained.model, trained.rung.name, dict(fitted.handles), dict(fitted.kept), dict(trained.information)
        )

    def changed(self, asked: BoostingModel, changes: Mapping[str, Any], name: str, party: str) -> BoostingModel:
        values = {**asked.params.model_dump(exclude_unset=True), **changes}
        params = check_settings(BoostingParams, values, f"refit of {name}")
        if params.cutting != asked.params.cutting or params.objective != asked.params.objective:
            thing = "max_bin and objective are those of the run"
            raise UsageError(party, f"a refit cannot change them: {thing}", "leave them out, or train anew")
        return BoostingModel(params=params)

    def refit(
        self, training: Training, number: int, rung: Rung, known: KnownModel, told: Callable[[int, int], None]
    ) -> TrainedRung[Boosted]:
        return refit_rung(training, number, self._params(training, number), rung, known, told)

    def search(
        self, training: Training, number: int, rung: Rung, known: KnownModel, changes: Mapping[str, Any],
        told: Callable[[int, int], None],
    ) -> list[Trial]:  # fmt: skip
        params = self._params(training, number)
        task = task_of(training, number, params, rung, Stopwatch(), lambda done, total: None)
        return search(task, known.splits, known.kept, candidates(params, changes, task.seed), told)

    def _params(self, training: Training, number: int) -> BoostingParams:
        return self.asked(training.job.models[number]).params
