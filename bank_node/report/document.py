"""`report.json` as types: what an outside reader can rely on. The committed JSON schema is made from these.

Two runs of one job agree in everything but `measured`.
"""

import json
from typing import Any, Literal

from pydantic import Field

from bank_node.metrics.absence import Absence
from bank_node.metrics.intervals import LEVEL, Metric, Uplift
from bank_node.metrics.segments import Segment
from bank_node.record.facts import (
    BinTable,
    Budget,
    Considered,
    DataFacts,
    DisclosureRow,
    Discovery,
    Facts,
    Leakage,
    Linear,
    Measured,
    Refit,
    Security,
    Text,
)
from bank_node.record.scorecard import Scorecard
from bank_node.report.banded import Banded
from bank_node.report.calibrated import Calibrated
from bank_node.report.early_warning.build import WatchedReport
from protocol.algorithms.parameters import Task
from protocol.job import Bands

REPORT_FILE = "report.json"
SCHEMA_FILE = "report.schema.json"


class SwapSet(Facts):
    """Alerts of a rung against those of the base at the same number of alerts: who came in, who went out."""

    in_: int = Field(alias="in")
    out: int
    bads_in: int
    bads_out: int


class Exposure(Facts):
    """Money of the bads that a rung alerts, and how much more that is than of those that the base alerts."""

    caught: float
    change: float


class InTime(Facts):
    """The same model judged on rows drawn from the time that it was trained on: beside it stands `metrics`, later."""

    metrics: dict[str, Metric]
    uplift: dict[str, Uplift]


class Rung(Facts):
    """One rung under one model. uplift and swap_set: over the base rung, which is its own base (all zeros).

    swap_set: empty where the label is not 0 or 1, since nothing is alerted. exposure: likewise, and without amounts.
    folds, folds_uplift: means over folds of the training rows, and their differences to the base; empty without folds.
    absence: by partner, what its absence in scoring would cost; none for the placebo.
    bands: red, amber and green, where the job has bands; none for the placebo.
    segments: by column, where the job names some; none for the placebo.
    calibration: of a 0/1 label with a validation part; none for the placebo.
    in_time: of a split by time, where metrics, uplift and all else are of the newest rows.
    linear: coefficients of a linear model. discovery, refit, kept_out: as `RungFacts` has
    them.
    """

    name: str
    parties: list[str]
    model: str
    placebo: bool
    model_sha256: str
    variance_power: float | None
    metrics: dict[str, Metric]
    uplift: dict[str, Uplift]
    swap_set: dict[str, SwapSet]
    exposure: dict[str, Exposure]
    folds: dict[str, Metric]
    folds_uplift: dict[str, Uplift]
    absence: dict[str, Absence]
    calibration: Calibrated | None
    bands: Banded | None
    segments: dict[str, list[Segment]]
    in_time: InTime | None
    sentence: Text
    importance: dict[str, float]
    scorecard: Scorecard | None
    considered: list[Considered]
    disclosure: list[DisclosureRow]
    leakage: dict[str, Leakage]
    linear: Linear | None
    discovery: Discovery | None
    refit: Refit | None
    kept_out: dict[str, str]


class Headline(Facts):
    """What the page opens with: one metric on the full rung. uplift, low, high: over the base. relative: to it."""

    metric: str
    rung: str
    model: str
    base: str
    value: float
    uplift: float
    low: float
    high: float
    relative: float | None
    sentence: Text


class Placebo(Facts):
    """The verdict on the placebo rung: does the interval of its uplift cover 0, as it must. metric: by which."""

    rung: str
    model: str
    metric: str
    low: float
    high: float
    covers_zero: bool


class Verdict(Facts):
    """What a rung's uplift shows, by one metric (verdict.py says when). uplift .. p: over folds, or on the test rows.

    p_holm: corrected for so many comparisons. worthwhile: the smallest uplift worth having. detectable: what a sample
    of this size shows in four cases of five.
    """

    rung: str
    model: str
    base: str
    metric: str
    uplift: float
    low: float
    high: float
    p: float
    p_holm: float
    comparisons: int
    method: str
    worthwhile: float
    detectable: float
    verdict: Literal["worth_buying", "not_shown", "shown_worthless"]
    sentence: Text


class FoldTest(Facts):
    """Two rungs of a model over folds, by one metric: a rung less another, each fold's difference being one draw.

    low, high: of the difference, 95%. p: of the corrected resampled t-test. p_holm: corrected for all these pairs.
    """

    model: str
    rung: str
    other: str
    metric: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float
    method: str

    @property
    def shown(self) -> bool:
        """Whether it is more than luck at the level of the intervals, all pairs considered."""
        return self.p_holm < 1 - LEVEL


class Data(DataFacts):
    """Counts of the bank's rows over the whole file, then what each party brought.

    in_time, embargo: of a split by time, rows drawn for the test in time, and rows that take no part.
    """

    rows: int
    bads: int
    train: int
    validation: int
    test: int
    in_time: int
    embargo: int


class Report(Facts):
    """The whole document."""

    schema_: int = Field(alias="schema")
    name: str
    title: Text
    synthetic: bool
    engine: str
    task: Task
    dated: bool
    label_party: str
    security: Security
    data: Data
    rungs: list[Rung]
    headline: Headline
    placebo: list[Placebo]
    verdicts: list[Verdict]
    fold_tests: list[FoldTest]
    worthwhile: float
    alert_rates: list[float]
    bootstrap: int
    bands: Bands | None
    budgets: dict[str, dict[str, Budget]]
    bin_tables: dict[str, list[BinTable]]
    early_warning: WatchedReport | None
    warnings: list[Text]
    notes: list[Text]
    job: str
    job_sha256: str
    data_sha256: dict[str, str]
    seeds: dict[str, int]
    measured: Measured

    def to_json(self) -> str:
        """The file's text: keys in the order above, no NaN or infinity, a newline last."""
        values = self.model_dump(mode="json", by_alias=True)
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON schema of `report.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Report.model_json_schema(
        by_alias=True, mode="serialization"
    )
