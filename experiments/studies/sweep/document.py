"""`sweep.json` and `sweep.csv`: what all runs of a sweep have found.

Two sweeps of one file agree in everything but `measured`, and in how often a run was begun.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bank_node.metrics.intervals import Metric, Uplift
from bank_node.report.document import Headline, Report
from bank_node.report.document import Rung as ReportRung
from bank_node.report.report import read_report
from experiments.studies.sweep.folders import RunFolder, State
from experiments.studies.sweep.plan import Plan, label_of, short_label, value_text
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Title

SWEEP_FILE: Final = "sweep.json"
TABLE_FILE: Final = "sweep.csv"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rung(_Part):
    """One rung of one run. information_share, equations_share: by partner, of the rung's end."""

    name: str
    parties: list[str]
    model: str
    placebo: bool
    metrics: dict[str, Metric]
    uplift: dict[str, Uplift]
    information_share: dict[str, float]
    equations_share: dict[str, float]


class Run(_Part):
    """One run. settings: by axis, as text. folder: relative to the sweep's. error: of a failed run."""

    name: str
    label: str
    settings: dict[str, str]
    state: State
    folder: str
    begun: int
    finished: int
    error: dict[str, Any] | None = None
    job_sha256: str = ""
    rows: int = 0
    test: int = 0
    headline: Headline | None = None
    rungs: list[Rung] = []


class SweepResult(_Part):
    """A whole sweep. axes: short names of what varies, and its values as text, in order. measured: seconds by run."""

    schema_: Literal[1] = Field(1, alias="schema")
    name: str
    title: Title
    synthetic: bool
    engines: list[str]
    base: str
    axes: dict[str, list[str]]
    paths: dict[str, str]
    runs: list[Run]
    measured: dict[str, float]

    def count(self, state: State) -> int:
        """How many runs are in this state."""
        return sum(run.state == state for run in self.runs)

    @property
    def run_twice(self) -> int:
        """Runs that have been finished more than once: none."""
        return sum(run.finished > 1 for run in self.runs)

    def to_json(self) -> str:
        """The file's text."""
        values = self.model_dump(mode="json", by_alias=True)
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def collect(plan: Plan, sweep: Path) -> SweepResult:
    """What there is so far, from the folders of the runs."""
    folders = [RunFolder(sweep, run.name) for run in plan.runs]
    reports = {f.name: read_report(f.path) for f in folders if f.state == "done"}
    names = {path: short_label(path, plan.axes) for path in plan.axes}
    runs = []
    for planned, folder in zip(plan.runs, folders, strict=True):
        settings = {names[path]: value_text(value) for path, value in planned.settings.items()}
        runs.append(_run(folder, settings, reports.get(folder.name)))
    synthetic = any(report.synthetic for report in reports.values())
    return SweepResult(
        schema=1,
        name=plan.name,
        title=plan.title,
        synthetic=synthetic,
        engines=list(dict.fromkeys(report.engine for report in reports.values())),
        base=plan.base.name,
        axes={names[path]: [value_text(value) for value in values] for path, values in plan.axes.items()},
        paths={names[path]: label_of(path) for path in plan.axes},
        runs=runs,
        measured={folder.name: folder.seconds for folder in folders},
    )


def write_result(result: SweepResult, sweep: Path) -> None:
    """Both forms."""
    write_whole(sweep / SWEEP_FILE, result.to_json().encode(), 0o644)
    write_whole(sweep / TABLE_FILE, _table(result).encode(), 0o644)


def read_sweep(sweep: Path) -> SweepResult:
    """Of a sweep's folder. Raises: UsageError: there is none."""
    path = sweep / SWEEP_FILE
    if not path.is_file():
        raise UsageError("sweep", f"{path} is missing", "give the folder of a sweep")
    return SweepResult.model_validate_json(path.read_text(encoding="utf-8"))


def label_of_run(settings: dict[str, str]) -> str:
    """A run in words."""
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "the base scenario"


def _run(folder: RunFolder, settings: dict[str, str], report: Report | None) -> Run:
    state = folder.state
    found: dict[str, Any] = {}
    if report:
        found = {
            "job_sha256": report.job_sha256,
            "rows": report.data.rows,
            "test": report.data.test,
            "headline": report.headline,
            "rungs": [_rung(rung) for rung in report.rungs],
        }
    return Run(
        name=folder.name,
        label=label_of_run(settings),
        settings=settings,
        state=state,
        folder=str(folder.path.relative_to(folder.sweep)),
        begun=folder.count("begun"),
        finished=folder.count("finished"),
        error=folder.error if state == "failed" else None,
        **found,
    )


def _rung(rung: ReportRung) -> Rung:
    return Rung(
        name=rung.name,
        parties=rung.parties,
        model=rung.model,
        placebo=rung.placebo,
        metrics=rung.metrics,
        uplift=rung.uplift,
        information_share={p: leak.information_share for p, leak in rung.leakage.items()},
        equations_share={p: leak.equations_share for p, leak in rung.leakage.items()},
    )


def _table(result: SweepResult) -> str:
    """A line a run and rung: settings, metrics with intervals, uplifts with intervals and p, shares by partner."""
    done = [run for run in result.runs if run.rungs]
    metrics = list(dict.fromkeys(name for run in done for rung in run.rungs for name in rung.metrics))
    partners = list(dict.fromkeys(p for run in done for rung in run.rungs for p in rung.information_share))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    shares = [f"{kind} {p}" for p in partners for kind in ("information_share", "equations_share")]
    parts = [f"{name}{end}" for name in metrics for end in ("", " low", " high", " uplift", " uplift low",
                                                            " uplift high", " uplift p")]  # fmt: skip
    rows.writerow(["run", "state", *result.axes, "rung", "model", "placebo", *parts, *shares])
    for run in result.runs:
        settings = [run.settings.get(axis, "") for axis in result.axes]
        for rung in run.rungs:
            figures = [value for name in metrics for value in _figures(rung, name)]
            told = [by.get(p, "") for p in partners for by in (rung.information_share, rung.equations_share)]
            rows.writerow([run.name, run.state, *settings, rung.name, rung.model, rung.placebo, *figures, *told])
        if not run.rungs:
            rows.writerow([run.name, run.state, *settings])
    return text.getvalue()


def _figures(rung: Rung, name: str) -> list[object]:
    if name not in rung.metrics:
        return [""] * 7
    metric, change = rung.metrics[name], rung.uplift[name]
    return [metric.value, metric.low, metric.high, change.value, change.low, change.high, change.p]
