"""The keys of a job, section by section, and what follows from them."""

import hashlib
import json
from typing import ClassVar, Literal

from pydantic import Field

from protocol.algorithms.binning import Cutting
from protocol.algorithms.parameters import Task
from protocol.contract import Contract
from protocol.job.boosting import BoostingModel
from protocol.job.data import JobData, JobParty, Split, Title
from protocol.job.families import AnyModel
from protocol.job.family import JobModel
from protocol.job.models import Binning, Selection
from protocol.job.report import Bands, EarlyWarning, ReportSettings
from protocol.job.stakes import Stakes
from protocol.settings.added_keys import Section
from protocol.settings.preparation import Preparation


class Run(Section):
    """[run]: engine, transport, ladder, and the two settings on which both nodes must agree."""

    engine: Literal["blind", "plaintext", "ckks", "paillier"] = "blind"
    transport: Literal["processes", "in-process", "flower"] = "processes"
    ladder: Literal["auto"] | tuple[tuple[str, ...], ...] = "auto"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    seed: int = 7


class JobFields(Section):
    """All keys of a scenario file, and what follows from them; `Job` checks that they fit each other."""

    ADDED: ClassVar = ("binning", "selection", "bands", "early_warning", "value", "preparation")

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    title: str | Title = ""
    synthetic: bool = False
    label_party: str = ""
    data: JobData
    parties: dict[str, JobParty] = Field(min_length=1)
    split: Split = Split()
    models: tuple[AnyModel, ...] = Field((BoostingModel(),), min_length=1)
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
        """Columns of the bank that models take without a coefficient."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.offsets))

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
        return _in_both(self.title or self.name)

    @property
    def party_titles(self) -> dict[str, Title]:
        """What pages call each party; its name if it has no title."""
        return {name: _in_both(party.title or name) for name, party in self.parties.items()}

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
    def task(self) -> Task:
        """What the label is, to all models alike."""
        return self.models[0].task

    @property
    def cutting(self) -> Cutting:
        """The fine bins of bin tables and scorecards."""
        binning = self.binning
        usual = next((model.thresholds_of for model in self.models if model.thresholds_of), 16)
        return Cutting(binning.max_bin or usual, binning.kind, binning.special)

    @property
    def sha256(self) -> str:
        """The job's digest: all but engine, transport and where files lie."""
        values = self.model_dump(mode="json", by_alias=True, exclude={"value"})
        values["order"] = list(self.parties)  # the first holds the labels if none is named, and partners have an order
        values["run"] = {k: v for k, v in values["run"].items() if k not in ("engine", "transport")}
        if self.split.kind != "time":
            del values["split"]["in_time"]
        for party in values["parties"].values():
            party.pop("title", None)  # words of a page, which change no message
        for place in (values["data"], *values["parties"].values()):
            place["source"] = (place["source"] or {}).get("sha256", "")
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(b"fedwarn.v1 job " + text.encode()).hexdigest()


def _in_both(title: str | Title) -> Title:
    """A title in both languages; one that is given once serves for both."""
    return title if isinstance(title, Title) else Title(en=title, zh=title)
