"""The job: a scenario file, as `fedwarn run` and `bank-node train` read it. docs/scenario-file.md explains each key.

The job's digest names it in query labels. It leaves out engine, transport and paths, so that one job is the same
job on every engine and transport.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from protocol.algorithms.binning import MAX_BIN, Cutting, Kind, wrong_names
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams, Task
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.contract import Contract
from protocol.errors import nearest
from protocol.job.stakes import Stakes
from protocol.settings import check_settings, parse_toml, resolve
from protocol.settings.added_keys import WithAddedKeys
from protocol.table import Sentinel, Source
from protocol.table.dates import Periods

MOST_PARTNERS: Final = 40


class _Section(WithAddedKeys):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Section):
    """The title in both languages of the report."""

    en: str
    zh: str


class JobData(_Section, Periods):
    """[data]: one table that is dealt out; or, without source, what the columns of the parties' own tables mean.

    as_of: the date of a row; partners answer by what they knew then. period, first, last: the grid of points in time.
    """

    ADDED: ClassVar = ("period", "first", "last")

    source: Source | None = None
    id: tuple[str, ...] = Field(min_length=1)
    as_of: str = ""
    label: str
    time: str = ""
    weight: str = ""
    amount: str = ""
    missing: tuple[Sentinel, ...] = ("",)
    categorical: Literal["auto"] | tuple[str, ...] = "auto"

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return (*self.id, *(c for c in (self.label, self.time, self.as_of, self.weight, self.amount) if c))


class JobParty(_Section):
    """[parties.X]: its columns. coverage, strangers: what it holds, and holds besides, as shares of the bank's rows.

    source, id: where a party brings its own table. monotone: a partner's own columns by direction; only the partner
    is told, the bank learns which of its column numbers have one. names: what a report calls a column; a partner's
    other columns go by number. tell_bins: a partner's named columns of which the bank is told what lies in a bin.
    """

    ADDED: ClassVar = ("as_of", "monotone", "names", "tell_bins")

    columns: tuple[str, ...] = Field(min_length=1)
    coverage: float = Field(default=1.0, gt=0, le=1)
    strangers: float = Field(default=0.0, ge=0, le=10)
    source: Source | None = None
    id: tuple[str, ...] = ()
    as_of: str = ""
    monotone: dict[str, Literal[-1, 1]] = Field({})
    names: dict[str, str] = Field({})
    tell_bins: tuple[str, ...] = ()


class Split(_Section):
    """[split]: which rows are trained on, judged for early stopping, and tested.

    folds: of the training rows, besides. By time: embargo, days before a later part whose rows take no part; in_time,
    share of the rows left to train on that are drawn to be tested beside the newest.
    """

    ADDED: ClassVar = ("embargo", "folds")

    kind: Literal["random", "time", "column"] = "random"
    column: str = ""
    test: float = Field(default=0.25, gt=0, lt=1)
    validation: float = Field(default=0.0, ge=0, lt=1)
    seed: int = 7
    embargo: float = Field(default=0.0, ge=0)
    in_time: float = Field(default=0.1, ge=0, lt=1)
    folds: int = Field(default=0, ge=0, le=20)


class BoostingModel(_Section):
    """[[models]] of kind boosting: parameters under XGBoost's names where XGBoost has them."""

    kind: Literal["boosting"] = "boosting"
    params: BoostingParams = BoostingParams()


class Binning(_Section):
    """[binning]: the bins of bin tables and scorecards.

    kind, special: how every party cuts its columns into fine bins (`Cutting`). max_bin: fine bins a column, 0: as many
    as the first boosted model has, or 16. merge: how the bank then joins fine bins by their goods and bads. max_bins:
    joined bins at most, but for special values and missing. min_share: of the rows trained on, in each of these.
    level: of chi-merge, at which two bins differ.
    """

    kind: Kind = "quantile"
    max_bin: int = Field(default=0, ge=0, le=MAX_BIN)
    special: tuple[float, ...] = ()
    merge: Literal["none", "chi-merge", "monotone"] = "none"
    max_bins: int = Field(default=6, ge=2, le=MAX_BIN)
    min_share: float = Field(default=0.05, ge=0, le=0.5)
    level: float = Field(default=0.95, gt=0, lt=1)


class GlmModel(_Section):
    """[[models]] of kind glm: a generalised linear model."""

    kind: Literal["glm"]
    params: GlmParams = GlmParams()


class ScorecardModel(_Section):
    """[[models]] of kind scorecard: a logistic regression on weights of evidence, told in points."""

    kind: Literal["scorecard"]
    params: ScorecardParams = ScorecardParams()


KINDS: Final = ("boosting", "glm", "scorecard")


def _kind(model: Any) -> str:
    kind = model.get("kind", "boosting") if isinstance(model, dict) else getattr(model, "kind", "")
    return f"kind={kind}"


JobModel = Annotated[
    Annotated[BoostingModel, Tag("kind=boosting")]
    | Annotated[GlmModel, Tag("kind=glm")]
    | Annotated[ScorecardModel, Tag("kind=scorecard")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message=f"kind is one of {', '.join(KINDS)}",
    ),
]
"""[[models]]: kind and parameters."""


def linear_params(model: JobModel) -> GlmParams | None:
    """What a linear model is fitted by; None of trees."""
    if isinstance(model, BoostingModel):
        return None
    return model.params.glm if isinstance(model, ScorecardModel) else model.params


class Selection(_Section):
    """[selection]: which columns linear models keep, and what the report says of all.

    By column alone: max_missing, max_single (share of its rows with one value; of a partner's, in its largest bin),
    max_stability (between training and test rows). Among columns: max_correlation, max_inflation, method (p_enter,
    p_remove), signs (no column whose points would rise with risk). 0 in max_stability and max_inflation: not asked.
    """

    max_missing: float = Field(default=1.0, ge=0, le=1)
    max_single: float = Field(default=1.0, ge=0, le=1)
    max_stability: float = Field(default=0.0, ge=0)
    max_correlation: float = Field(default=1.0, gt=0, le=1)
    max_inflation: float = Field(default=0.0, ge=0)
    method: Literal["none", "forward", "stepwise"] = "none"
    p_enter: float = Field(default=0.05, gt=0, lt=1)
    p_remove: float = Field(default=0.1, gt=0, lt=1)
    signs: bool = False


class Run(_Section):
    """[run]: engine, transport, ladder, and the two settings on which both nodes must agree."""

    engine: Literal["blind", "plaintext", "ckks", "paillier"] = "blind"
    transport: Literal["processes", "in-process", "flower"] = "processes"
    ladder: Literal["auto"] | tuple[tuple[str, ...], ...] = "auto"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    seed: int = 7


class ReportSettings(_Section):
    """[report]: alert rates, resamples of the bootstrap, whether there is a placebo rung, bin tables, and worthwhile.

    bin_tables: counts of goods and bads in every bin of every column, exact; two equations of each partner.
    worthwhile: the smallest uplift worth having: in AUC, or as a share of the bank's RMSE or log loss.
    segments: columns of the bank's table, features or not, by whose values figures are given apart.
    """

    ADDED: ClassVar = (
        "bin_tables",
        "worthwhile",
        "segments",
    )

    alert_rates: tuple[float, ...] = Field(default=(0.01, 0.05, 0.10), min_length=1)
    bootstrap: int = Field(default=1000, ge=20, le=100_000)
    placebo: bool = True
    bin_tables: bool = False
    worthwhile: float = Field(default=0.005, ge=0, le=1)
    segments: tuple[str, ...] = ()


class Bands(BaseModel):
    """[bands]: red, amber and green rows, by cut-offs found on the validation part; and why a row is red or amber.

    red, amber: each is of its own band. capacity: share of the rows. expected-loss: share of probability of default x
    amount x lgd. precision: share of bads. lgd: share of the amount that a default loses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["capacity", "expected-loss", "precision"]
    red: float = Field(gt=0, lt=1)
    amber: float = Field(gt=0, lt=1)
    lgd: float = Field(default=1.0, gt=0, le=1)


class EarlyWarning(_Section):
    """[early_warning]: what is watched month by month over the test rows, and what it is worth.

    event, vintage: date columns of the bank: when the customer defaulted (empty: not), and when the loan began.
    performance: months after a row's date in which a default makes its label 1. capacity: share of a month's rows that
    are alerted. cost_of_alert: in money. loss_given_default: share of the amount that a default costs. avoided: share
    of that loss which an alert in time avoids.
    """

    event: str = ""
    vintage: str = ""
    performance: int = Field(default=12, ge=1, le=120)
    capacity: float = Field(default=0.05, gt=0, lt=1)
    cost_of_alert: float = Field(default=0.0, ge=0)
    loss_given_default: float = Field(default=0.45, ge=0, le=1)
    avoided: float = Field(default=0.5, ge=0, le=1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the bank that it names."""
        return tuple(c for c in (self.event, self.vintage) if c)


class Job(_Section):
    """A whole scenario file."""

    ADDED: ClassVar = ("binning", "selection", "bands", "early_warning", "value")

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
        return tuple(dict.fromkeys((*self.data.special, *split, *watched)))

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
        return Cutting(model.params.max_bin, self.binning.kind, self.binning.special)

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
        """What no single key can tell."""
        if self.bank not in self.parties:
            raise ValueError(f"label_party {self.bank!r} is no party{nearest(self.bank, list(self.parties))}")
        if not 1 <= len(self.partners) <= MOST_PARTNERS:
            raise ValueError(f"there are {len(self.partners)} partners, and 1 to {MOST_PARTNERS} are supported")
        if self.run.split_rows == "node" and self.run.alignment != "shared":
            raise ValueError('run.split_rows "node" names rows to the partner, and needs run.alignment "shared"')
        self._check_columns()
        self._check_dates()
        self._check_directions()
        self._check_names()
        self._check_interactions()
        self._check_glm_columns()
        self._check_objectives()
        self._check_binning()
        self._check_bands()
        if self.early_warning and self.task != "binary":
            raise ValueError("[early_warning] watches for bads, and needs an objective with a label of 0 and 1")
        if self.early_warning and not (self.data.time or self.data.as_of):
            raise ValueError("[early_warning] goes month by month, and needs data.as_of, or data.time")
        self._check_stopping()
        if self.report.bin_tables and self.task != "binary":
            raise ValueError("report.bin_tables count goods and bads, and need an objective with a label of 0 and 1")
        if self.split.kind == "column" and not self.split.column:
            raise ValueError('split.kind "column" needs split.column')
        if self.split.folds == 1:
            raise ValueError("split.folds is 0, or 2 and more")
        if self.split.folds and not any(isinstance(model, BoostingModel) for model in self.models):
            raise ValueError('split.folds are of models of kind "boosting", and there is none')
        if self.split.kind == "time" and not (self.data.time or self.data.as_of):
            raise ValueError('split.kind "time" needs data.time, or data.as_of')
        if self.split.kind != "time" and self.split.embargo:
            raise ValueError('split.embargo belongs to split.kind "time"')
        if self.split.kind != "column" and self.split.test + self.split.validation >= 1:
            raise ValueError("split.test and split.validation leave no rows to train on")
        if not all(0 < rate < 1 for rate in self.report.alert_rates):
            raise ValueError("report.alert_rates lie between 0 and 1")
        for party in self.parties.values():
            if party.source is None and self.data.source is None:
                raise ValueError("there is neither data.source nor a source under every party")
        return self

    def _check_columns(self) -> None:
        owner: dict[str, str] = {}
        for name, party in self.parties.items():
            for column in party.columns:
                if column in self.special:
                    thing = "id, label, time, as_of, weight, amount, split, event or vintage"
                    raise ValueError(f"column {column!r} of {name} is {thing}, no feature")
                dealt = party.source is None
                if dealt and owner.setdefault(column, name) != name:
                    raise ValueError(f"column {column!r} is given to two parties, {owner[column]} and {name}")
                if party.columns.count(column) > 1:
                    raise ValueError(f"column {column!r} is given to {name} twice")
        for column in self.report.segments:
            if column in self.special or owner.get(column, self.bank) != self.bank:
                raise ValueError(f"report.segments has {column!r}, which is a partner's, or the id, label or the like")
            if self.report.segments.count(column) > 1:
                raise ValueError(f"report.segments has {column!r} twice")

    def _check_dates(self) -> None:
        """The grid of points in time is the job's, where partners are sent no dates."""
        data = self.data
        if data.wrong_grid():
            raise ValueError(f"data.{data.wrong_grid()}")
        if not data.as_of and (data.period or data.first or any(p.as_of for p in self.parties.values())):
            raise ValueError("dates of records, period, first and last belong to a job with data.as_of")
        if data.as_of and data.source is None and self.run.alignment == "one-sided" and data.grid is None:
            raise ValueError("a job with data.as_of and tables of the parties' own needs data.first and data.last")

    def _check_directions(self) -> None:
        """Each party declares the directions of its own columns, and of no other's."""
        for name, party in self.parties.items():
            for column in party.monotone:
                if name == self.bank:
                    raise ValueError("the bank's directions stand in monotone_constraints, under a model's params")
                self._require_own(name, column, "monotone")
        for model in self.boosting_models:
            for column in model.params.monotone_constraints:
                self._require_own(self.bank, column, "monotone_constraints")

    def _check_names(self) -> None:
        """Each party names its own columns, each by another name."""
        for name, party in self.parties.items():
            for column in party.names:
                self._require_own(name, column, "names")
            if wrong_names(party.names):
                raise ValueError(f"names of {name} {wrong_names(party.names)}")
            if party.tell_bins and name == self.bank:
                raise ValueError("tell_bins is for partners: the bank's own bins are shown")
            for column in party.tell_bins:
                if column not in party.names:
                    raise ValueError(f"tell_bins of {name} has {column!r}, which its names give no name")

    def _check_interactions(self) -> None:
        """Groups name columns of the bank, or parties."""
        for model in self.boosting_models:
            for name in (name for group in model.params.interaction_constraints for name in group):
                if name in self.parties and name in self.parties[self.bank].columns:
                    raise ValueError(f"{name!r} in interaction_constraints is both a party and a column; rename one")
                if name not in self.parties:
                    self._require_own(self.bank, name, "interaction_constraints")

    def _check_glm_columns(self) -> None:
        """The bank's columns by name, a partner's by number or the name that it tells: only it knows its own."""
        known = {name: set(party.names.values()) for name, party in self.parties.items()}
        for model in (m for m in self.models if not isinstance(m, BoostingModel)):
            for party, columns in model.params.columns.items():
                if party not in self.parties:
                    raise ValueError(f"{party!r} in a model's columns is no party{nearest(party, list(self.parties))}")
                for name in columns:
                    if party == self.bank:
                        self._require_own(party, name, "a model's columns")
                    elif not re.fullmatch("column [1-9][0-9]*", name) and name not in known[party]:
                        what = 'a partner\'s are numbered, as "column 3", or go by a name that it tells'
                        raise ValueError(f"{name!r} in a model's columns of {party}: {what}")

    def _check_stakes(self) -> None:
        """Prices and families are of partners, and families of their columns, each in one at most."""
        for name in (*self.value.prices, *self.value.families):
            if name not in self.partners:
                raise ValueError(f"value names {name!r}, which is no partner{nearest(name, list(self.partners))}")
        for party, families in self.value.families.items():
            columns = [column for family in families.values() for column in family]
            for column in columns:
                self._require_own(party, column, "value.families")
            if len(set(columns)) < len(columns):
                raise ValueError(f"value.families of {party} name a column twice")

    def _check_stopping(self) -> None:
        """Early stopping judges on validation rows; those of a split column are known at the node alone."""
        stopping = any(m.params.early_stopping_rounds for m in self.models if isinstance(m, BoostingModel))
        if stopping and self.split.kind != "column" and not self.split.validation:
            raise ValueError(
                "early_stopping_rounds judges on validation rows, and there are none: set split.validation, or leave "
                "early_stopping_rounds at 0"
            )

    def _check_objectives(self) -> None:
        """All models are judged by the same figures."""
        for key, told in (("task", "kind of label"), ("num_class", "num_class")):
            if len({getattr(model.params, key) for model in self.models}) > 1:
                raise ValueError(f"the models have not one {told}; give each its own scenario")

    def _check_binning(self) -> None:
        """Bins have numbers that fit a byte, and a value is special or missing."""
        if not self.cutting.possible:
            raise ValueError(f"binning.max_bin is 2 or more, and {MAX_BIN} at most together with binning.special")
        for value in self.binning.special:
            if value in self.data.missing:
                raise ValueError(f"{value:g} is both in binning.special and in data.missing; leave it in one of them")

    def _check_bands(self) -> None:
        """Bands need rows to find cut-offs on, and money where they go by it."""
        bands = self.bands
        if bands is None:
            return
        if self.task != "binary":
            raise ValueError("bands are of a label of 0 and 1")
        if self.split.kind != "column" and not self.split.validation:
            raise ValueError("bands need a validation part, on which cut-offs are found: set split.validation")
        if bands.rule == "expected-loss" and not self.data.amount:
            raise ValueError('bands.rule "expected-loss" needs data.amount')
        if bands.rule == "precision" and bands.amber >= bands.red:
            raise ValueError("bands.amber is a smaller share of bads than bands.red")
        if bands.rule != "precision" and bands.red + bands.amber > 1:
            raise ValueError("bands.red and bands.amber are shares, and leave nothing for green")

    def _require_own(self, party: str, column: str, key: str) -> None:
        """A column of the party, or a part of a date that it has."""
        columns = self.parties[party].columns
        if column not in columns and column.rpartition(".")[0] not in columns:
            raise ValueError(f"{key} names {column!r}, which is no column of {party}{nearest(column, list(columns))}")


def load_job(path: Path) -> Job:
    """Read a scenario file; its paths are taken relative to it. Raises: UsageError."""
    return _resolved(check_settings(Job, parse_toml(path), path.name), path)


def _resolved(job: Job, path: Path) -> Job:
    def moved(source: Source | None) -> Source | None:
        return source and source.model_copy(update={"path": resolve(source.path, path)})

    parties = {n: p.model_copy(update={"source": moved(p.source)}) for n, p in job.parties.items()}
    data = job.data.model_copy(update={"source": moved(job.data.source)})
    return job.model_copy(update={"data": data, "parties": parties})


def names_budgets(path: Path) -> bool:
    """Whether a scenario's [contract] names the equation budget, so that it is enforced on a dealt-out table."""
    contract: dict[str, Any] = parse_toml(path).get("contract", {})
    return "max_equations_share" in contract
