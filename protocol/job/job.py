"""The job: a scenario file, as `fedwarn run` and `bank-node train` read it. docs/scenario-file.md explains each key.

The job's digest names it in query labels. It leaves out engine, transport and paths, so that one job is the same
job on every engine and transport.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from protocol.algorithms.binning import Cutting
from protocol.algorithms.parameters import Task
from protocol.contract import Contract
from protocol.job import columns, sections
from protocol.job.data import JobData, JobParty, Split
from protocol.job.models import Binning, BoostingModel, GlmModel, JobModel, ScorecardModel, Selection
from protocol.job.report import Bands, EarlyWarning, ReportSettings
from protocol.job.stakes import Stakes
from protocol.settings import check_settings, parse_toml
from protocol.settings.added_keys import Section
from protocol.settings.preparation import USUAL, Preparation
from protocol.table import Source

CHECKS: Final = (
    sections.require_parties,
    columns.require_columns,
    sections.require_dates,
    columns.require_grades,
    columns.require_directions,
    columns.require_names,
    columns.require_interactions,
    columns.require_glm_columns,
    columns.require_stakes,
    columns.require_preparation,
    sections.require_objectives,
    sections.require_binning,
    sections.require_bands,
    sections.require_watched,
    sections.require_stopping,
    sections.require_split,
    sections.require_reportable,
    sections.require_sources,
)


class Title(Section):
    """The title in both languages of the report."""

    en: str
    zh: str


class Run(Section):
    """[run]: engine, transport, ladder, and the two settings on which both nodes must agree."""

    engine: Literal["blind", "plaintext", "ckks", "paillier"] = "blind"
    transport: Literal["processes", "in-process", "flower"] = "processes"
    ladder: Literal["auto"] | tuple[tuple[str, ...], ...] = "auto"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    seed: int = 7


class Job(Section):
    """A whole scenario file."""

    ADDED: ClassVar = ("binning", "selection", "bands", "early_warning", "value", "preparation")

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    title: str | Title = ""
    synthetic: bool = False
    label_party: str = ""
    data: JobData
    parties: dict[str, JobParty] = Field(min_length=1)
    split: Split = Split()
    models: tuple[JobModel, ...] = Field((BoostingModel(),), min_length=1)
    binning: Binning = Binning()
    preparation: Preparation = Preparation()
    selection: Selection | None = None
    run: Run = Run()
    report: ReportSettings = ReportSettings()
    bands: Bands | None = None
    early_warning: EarlyWarning | None = None
    contract: Contract = Contract()
    value: Stakes = Stakes()

    @property
    def special(self) -> tuple[str, ...]:
        """Columns of the bank that are no features, each once."""
        split = [self.split.column] if self.split.kind == "column" else []
        watched = self.early_warning.columns if self.early_warning else ()
        return tuple(dict.fromkeys((*self.data.special, *split, *watched, *self.offsets)))

    @property
    def offsets(self) -> tuple[str, ...]:
        """Columns of the bank that linear models take without a coefficient."""
        named = [model.params.offset_column for model in self.models if isinstance(model, GlmModel)]
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def bank(self) -> str:
        """The party that holds the labels; the first one if none is named."""
        return self.label_party or next(iter(self.parties))

    @property
    def partners(self) -> tuple[str, ...]:
        """The other parties, in order."""
        return tuple(p for p in self.parties if p != self.bank)

    @property
    def titles(self) -> Title:
        """The title in both languages; the name if there is none."""
        return (
            self.title
            if isinstance(self.title, Title)
            else Title(en=self.title or self.name, zh=self.title or self.name)
        )

    @property
    def time(self) -> str:
        """The date that orders rows for a split by time: data.time, or as_of where only that is named."""
        return self.data.time or (self.data.as_of if self.split.kind == "time" else "")

    @property
    def model_names(self) -> tuple[str, ...]:
        """A name a model: its kind, numbered from the second of a kind on."""
        kinds = [model.kind for model in self.models]
        counts = [kinds[: k + 1].count(kind) for k, kind in enumerate(kinds)]
        return tuple(kind if n == 1 else f"{kind}-{n}" for kind, n in zip(kinds, counts, strict=True))

    def model(self, name: str) -> JobModel:
        """The model of that name."""
        return self.models[self.model_names.index(name)]

    @property
    def boosting_models(self) -> tuple[BoostingModel, ...]:
        """The models that are boosted trees."""
        return tuple(model for model in self.models if isinstance(model, BoostingModel))

    @property
    def task(self) -> Task:
        """What the label is, to all models alike."""
        return self.models[0].params.task

    @property
    def cutting(self) -> Cutting:
        """The fine bins of bin tables and scorecards."""
        binning = self.binning
        usual = next((model.params.max_bin for model in self.boosting_models), 16)
        return Cutting(binning.max_bin or usual, binning.kind, binning.special)

    def cutting_of(self, model: BoostingModel | GlmModel | ScorecardModel) -> Cutting:
        """The bins that a model asks for; a linear model's as [binning] says."""
        if isinstance(model, BoostingModel):
            return model.params.cutting
        if isinstance(model, ScorecardModel):
            return self.cutting
        treatment = self.preparation.treatment()
        told = None if model.params.by_woe or treatment == USUAL else treatment
        return Cutting(model.params.max_bin, self.binning.kind, self.binning.special, told)

    @property
    def sha256(self) -> str:
        """The job's digest: all but engine, transport and where files lie."""
        values = self.model_dump(mode="json", by_alias=True, exclude={"value"})
        values["order"] = list(self.parties)  # the first holds the labels if none is named, and partners have an order
        values["run"] = {k: v for k, v in values["run"].items() if k not in ("engine", "transport")}
        if self.split.kind != "time":
            del values["split"]["in_time"]
        for place in (values["data"], *values["parties"].values()):
            place["source"] = (place["source"] or {}).get("sha256", "")
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(b"fedwarn.v1 job " + text.encode()).hexdigest()

    @model_validator(mode="after")
    def _consistent(self) -> "Job":
        """What no single key can tell: the first thing wrong is told."""
        for require in CHECKS:
            require(self)
        return self


def load_job(path: Path) -> Job:
    """Read a scenario file; its paths are taken relative to it. Raises: UsageError."""
    return _resolved(check_settings(Job, parse_toml(path), path.name), path)


def _resolved(job: Job, path: Path) -> Job:
    def moved(source: Source | None) -> Source | None:
        return source and source.beside(path, Path())

    parties = {n: p.model_copy(update={"source": moved(p.source)}) for n, p in job.parties.items()}
    data = job.data.model_copy(update={"source": moved(job.data.source)})
    return job.model_copy(update={"data": data, "parties": parties})


def names_budgets(path: Path) -> bool:
    """Whether a scenario's [contract] names the equation budget, so that it is enforced on a dealt-out table."""
    contract: dict[str, Any] = parse_toml(path).get("contract", {})
    return "max_equations_share" in contract
