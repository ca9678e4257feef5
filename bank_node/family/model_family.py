"""The one interface of a model family: all that the rest of the bank asks of a model, whichever it is.

A family is a folder of the bank (bank_node/trees, bank_node/linear), a file of the job (protocol/job/boosting.py,
protocol/job/linear.py), and a line in the catalogue of each (bank_node/families, protocol/job/families.py). What a
partner must know of a model, which are its parameters, bins and plan, the job's half says.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from rich.console import RenderableType

from bank_node.family.contributions import Contributions
from bank_node.family.fitted import Fit, KnownModel
from bank_node.family.objective import require_labels
from bank_node.family.scorer import Scorer, ToldOf
from bank_node.family.training import TrainedRung, Training, Under
from bank_node.models.canonical import Model
from bank_node.models.folder import ModelFolder
from bank_node.record.facts import Leakage, Text
from bank_node.settings.timing import Stopwatch
from protocol.errors import UsageError
from protocol.job import JobModel
from protocol.job.ladder import Rung
from protocol.messages import I64
from protocol.table import Column, Table

Asked = TypeVar("Asked", bound=JobModel)
Stored = TypeVar("Stored", bound=Model)

Capability = Literal["folds", "discovery", "refit", "frontier", "pmml"]
"""folds: fitted also without each fold. discovery: splits are found in rounds, and all trees are then fitted on them.
refit: fitted again on what a run left. frontier: `fedwarn frontier` can turn its knobs. pmml: exported as PMML."""


@dataclass(frozen=True)
class Trees:
    """Of a fitted model of trees: how many it has, and how many of all that were grown asked partners for sums."""

    kept: int
    encrypted: int


@dataclass(frozen=True)
class Trial:
    """One candidate. changes: of the run's parameters. loss: on the rows judged on. share: of the rows fitted on."""

    changes: dict[str, Any]
    loss: float
    share: float


class ModelFamily(ABC, Generic[Asked, Fit, Stored]):
    """A family of models. Asked: its part of a job. Fit: what a fit ends with. Stored: what is left of it in a file."""

    kind: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    asks: type[Asked]
    stored: type[Stored]

    def asked(self, model: JobModel) -> Asked:
        """A model of a job, known to be of this family."""
        assert isinstance(model, self.asks)
        return model

    # Before and during a training, in this order.

    def validate(self, asked: Asked, table: Table) -> None:
        """Raises: DataError: the bank's table holds labels, or other values, that the model cannot be fitted to."""
        assert table.label is not None
        require_labels(asked, table.label, table.party)

    def prepare(self, under: Under, clock: Stopwatch) -> None:
        """Do what all rungs of a model share, and leave it in `training.prepared`."""

    @abstractmethod
    def train(self, under: Under, rung: Rung, clock: Stopwatch) -> TrainedRung[Fit]:
        """Fit one rung, its folds, and what its scores would be without each of its partners."""

    # A model in use.

    @abstractmethod
    def scorer(self, model: Stored) -> Scorer:
        """How it is scored, with all of its partners or `absent` ones."""

    @abstractmethod
    def explain(self, folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
        """What makes each row's margin what it is; of a model with one margin, trained with [bands]."""

    @abstractmethod
    def export(self, model: Stored) -> dict[str, Any]:
        """The bank's part of it, for the exported file (docs/model-folder.md)."""

    def pmml(self, folder: ModelFolder) -> bytes:
        """The bank's part of it as PMML. Raises: UsageError: there is no PMML of the family, or of this model."""
        raise UsageError("model", f"it is a {folder.about.kind}, and PMML is for scorecards", "export it as JSON")

    @abstractmethod
    def summary(self, folder: ModelFolder) -> dict[str, Any]:
        """What `model show --json` prints of it."""

    @abstractmethod
    def shown(self, folder: ModelFolder, most: int) -> Sequence[RenderableType]:
        """What `model show` prints of it. most: drawings, such as trees."""

    # What a trained rung leaves: in its model folder,

    @abstractmethod
    def handles(self, trained: TrainedRung[Fit], partner: str) -> int:
        """How many things of a partner's the model names by number."""

    @abstractmethod
    def told(self, training: Training, trained: TrainedRung[Fit], rows: I64) -> ToldOf:
        """What the training was told of some of the bank's rows, as scoring would be."""

    @abstractmethod
    def explained_by(self, training: Training, trained: TrainedRung[Fit]) -> tuple[dict[str, Any], dict[str, Any]]:
        """`columns` and `baseline` of model.json, by which `explain` explains."""

    def about(self, training: Training, trained: TrainedRung[Fit]) -> dict[str, Any]:
        """Keys of model.json that are of this family alone."""
        return {}

    # in the facts of its run, and so in its report.

    @abstractmethod
    def importance(self, fitted: Fit) -> dict[str, float]:
        """What each party adds to the model, as shares of 1."""

    def facts(self, training: Training, trained: TrainedRung[Fit]) -> dict[str, Any]:
        """Keys of a rung's facts that are of this family alone: sections of the report are made of them."""
        return {}

    def disclosed(self, training: Training, trained: TrainedRung[Fit], partner: str, leakage: Leakage) -> Leakage:
        """What a partner's answers gave away, with what is of this family alone."""
        return leakage

    def kept_out(self, training: Training, trained: TrainedRung[Fit]) -> dict[str, str]:
        """The partners of whom the model has nothing because a clause admitted nothing, and the clause."""
        return {}

    def warnings(self, training: Training, rungs: Sequence[TrainedRung[Fit]]) -> list[Text]:
        """What a reader must know first of the family's rungs, none of which is a placebo."""
        return []

    def trees(self, fitted: Fit) -> Trees | None:
        """By which costs are told; None of a model without trees."""
        return None

    def costs_of_exact_sums(self, training: Training, trained: TrainedRung[Fit]) -> list[float]:
        """What the answer of each partner with the largest exact sums takes of a hint's flood budget."""
        return []

    # Of a family that can refit:

    def known(self, trained: TrainedRung[Fit]) -> KnownModel | None:
        """What a later refit needs of a rung; None if the family cannot refit."""
        return None

    def changed(self, asked: Asked, changes: Mapping[str, Any], name: str, party: str) -> Asked:
        """The same with other parameters. Raises: UsageError: a refit cannot change them."""
        raise NotImplementedError

    def refit(
        self, training: Training, number: int, rung: Rung, known: KnownModel, told: Callable[[int, int], None]
    ) -> TrainedRung[Fit]:
        """Fit a rung again on what the bank knows, without a message."""
        raise NotImplementedError

    def search(
        self, training: Training, number: int, rung: Rung, known: KnownModel, changes: Mapping[str, Any],
        told: Callable[[int, int], None],
    ) -> list[Trial]:  # fmt: skip
        """Try parameters of a refit; the best first. changes: those that are fixed."""
        raise NotImplementedError
