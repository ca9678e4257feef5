"""The context of a run: what a training knows, the rungs that it has trained, and what those of one model share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec

from bank_node.data.parts import Parts
from bank_node.family.bank_columns import BankColumns
from bank_node.family.fitted import Fit, Fitted
from bank_node.partners.partner_view import PartnerView
from bank_node.partners.sessions import PartnerSessions
from bank_node.record.facts import BinTable, DisclosureRow
from bank_node.settings.timing import Stopwatch
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.binning import Cutting
from protocol.algorithms.boosting import Kept, Opened, Split
from protocol.algorithms.runs import Label
from protocol.he.streams import digest
from protocol.job import Job, JobModel
from protocol.job.ladder import Rung
from protocol.messages import F64, I64
from protocol.role import Exchange
from protocol.table import Table

Progress = Callable[[str, int, int], None]
"""Told a phase ("align", "rung all"), how much of it is done, and how much there is."""


Fit_co = TypeVar("Fit_co", bound=Fitted, covariant=True)


@dataclass(frozen=True)
class TrainedRung(Generic[Fit_co]):
    """One rung under one model. score: predictions, shape (n,), or (n, classes). spent, information: by partner.

    folds: by cut, predictions of training rows by models fitted on the others, each of the shape of score, nan of all
    other rows.
    bins: digest of the bank's own. absent: by partner, scores of the test rows without it.
    """

    rung: Rung
    model: str
    fitted: Fit_co
    score: F64
    seconds: dict[str, float]
    disclosure: list[DisclosureRow]
    spent: dict[str, Opened | Kept]
    information: dict[str, float]
    bins: str
    absent: dict[str, F64]
    folds: F64 | None = None


@dataclass
class Training:
    """A training as far as it is, before it is written down.

    steps: of a linear fit, at most. dropped: why, by party and column. views: by partner and cutting. own: the bank's
    columns, by cutting and fold, 0 = of all. counts: rows and bads a bin, by cutting and partner. prepared: by model,
    what its family has prepared for all its rungs. masks: their name, by partners. runs: the number that each partner
    gave the run; subject: by which all of them know it. folds: of every row in each cut, shape (r, n). found: splits of
    the models so far, by partner and cutting. refitted: whether all is fitted on what an earlier run left, without a
    message.
    """

    job: Job
    table: Table
    parts: Parts
    sessions: PartnerSessions
    alignments: dict[str, BankAlignment]
    steps: int
    rungs: list[TrainedRung[Any]] = field(default_factory=list)
    dropped: dict[str, dict[str, str]] = field(default_factory=dict)
    views: dict[tuple[str, Cutting], PartnerView] = field(default_factory=dict)
    own: dict[tuple[Cutting, int], BankColumns] = field(default_factory=dict)
    bin_tables: dict[str, list[BinTable]] = field(default_factory=dict)
    counts: dict[Cutting, Mapping[str, I64]] = field(default_factory=dict)
    prepared: dict[str, Any] = field(default_factory=dict)
    masks: dict[tuple[str, ...], str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    subject: str = ""
    folds: I64 | None = None
    found: dict[tuple[str, Cutting], frozenset[Split]] = field(default_factory=dict)
    refitted: bool = False

    def label(self, kind: Literal["sums", "counts", "cross"], model: int = 0, rung: Rung | None = None) -> Label:
        """The place of what is asked in the job; the number of the run is each partner's."""
        return Label(kind, self.job.sha256, model=model, party_set=rung.number if rung else 0)

    def fitted_rows(self, partner: str) -> int:
        """Rows trained on that the partner holds."""
        return int((self.alignments[partner].positions[self.parts == "train"] >= 0).sum())

    def view(self, trained: TrainedRung[Fitted], partner: str) -> PartnerView:
        """A partner's bins, as the model that a rung was trained under has them."""
        return self.views[partner, self.job.model(trained.model).cutting(self.job)]


@dataclass(frozen=True)
class Under:
    """What the rungs of one model have in common. number, model: of it. opened: by partner.

    exchange: through the journal. disclosed: takes what was sent and received since it was last asked.
    """

    training: Training
    number: int
    model: str
    exchange: Exchange
    disclosed: Callable[[], list[DisclosureRow]]
    opened: Mapping[str, Opened]
    told: Progress

    @property
    def job_model(self) -> JobModel:
        """As the job has it."""
        return self.training.job.models[self.number]

    @property
    def cutting(self) -> Cutting:
        """Its bins."""
        return self.job_model.cutting(self.training.job)

    def progress(self, rung: Rung) -> Callable[[int, int], None]:
        """Tells how far a rung is."""
        return lambda done, total: self.told(f"rung {rung.name}", done, total)

    def trained(
        self, rung: Rung, fitted: Fit, score: F64, absent: dict[str, F64], bins: Any, clock: Stopwatch,
        folds: F64 | None = None,
    ) -> TrainedRung[Fit]:  # fmt: skip
        """A rung as it was trained. bins: of the bank's own, whatever its digest is of."""
        return TrainedRung(
            rung=rung,
            model=self.model,
            fitted=fitted,
            score=score,
            seconds=dict(clock.seconds),
            disclosure=self.disclosed(),
            spent={**self.opened, **fitted.kept},
            information={p: self.training.views[p, self.cutting].known.information_share for p in rung.partners},
            bins=digest(msgspec.json.encode(bins)).hex(),
            absent=absent,
            folds=folds,
        )
