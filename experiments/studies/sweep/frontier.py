"""`fedwarn frontier`: how much a bank must be told for how much gain, one knob turned at a time.

A sweep over what a contract and a model can be set to: information budget, trees, depth, bins, the partners' columns,
noise, and which rows' bits a split reveals. Every run trains the bank alone and all parties; without equation budget,
since what is looked for is the uplift at any. Engine `plaintext` stands in for `blind`: both grow the same model.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bank_node.families.catalogue import family_of
from experiments.pages.render import frontier_page
from experiments.studies.sweep.document import Rung, SweepResult
from experiments.studies.sweep.knobs import KNOBS
from experiments.studies.sweep.plan import Settings, plan, value_text
from experiments.studies.sweep.point import Point
from experiments.studies.sweep.sweep import PAGE_FILE, Manner, sweep
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Job, Title, load_job
from protocol.job.boosting import boosting_models

_PARAMS: Final = ("models", "0", "params")


@dataclass(frozen=True)
class Frontier:
    """All points, and the sweep that they are from."""

    points: list[Point]
    result: SweepResult


def frontier(scenario: Path, out: Path, knobs: Sequence[str], trees: int, engine: str, manner: Manner) -> Frontier:
    """Run every setting of these knobs, all if none is named, and write frontier.csv and frontier.json.

    trees: in place of the scenario's, 0: as there. Raises: UsageError: the scenario's first model is no boosting.
    """
    job = load_job(scenario)
    unknown = [knob for knob in knobs if knob not in KNOBS]
    if unknown:
        raise UsageError("frontier", f"there is no knob {unknown[0]!r}", f"choose of {', '.join(KNOBS)}")
    if "frontier" not in family_of(job.models[0].kind).capabilities or job.task != "binary":
        raise UsageError("frontier", "its first model is no boosting of a 0/1 label", "give another scenario")
    trees = trees or boosting_models(job)[0].params.n_estimators
    turned = _turned(job, trees, knobs or list(KNOBS))
    distinct = {json.dumps(_named(one)): one for *_, one in turned}
    title = Title(en=f"{job.titles.en}: uplift against information", zh=f"{job.titles.zh}：提升幅度与信息披露")
    made = plan(f"{job.name} frontier", title, scenario, _fixed(job, trees, engine), {}, list(distinct.values()), False)
    names = dict(zip(distinct, (run.name for run in made.runs), strict=True))
    result = sweep(made, out, manner)
    rungs = {run.name: run.rungs[-1] for run in result.runs if run.rungs}
    points = [
        _point(knob, value, names[json.dumps(_named(one))], rungs)
        for knob, value, one in turned
        if names[json.dumps(_named(one))] in rungs
    ]
    text = json.dumps([point.model_dump() for point in points], indent=1, ensure_ascii=False) + "\n"
    write_whole(out / "frontier.json", text.encode(), 0o644)
    write_whole(out / PAGE_FILE, frontier_page(points, result).encode(), 0o644)
    write_whole(out / "frontier.csv", _table(points, job.partners).encode(), 0o644)
    return Frontier(points, result)


def _fixed(job: Job, trees: int, engine: str) -> Settings:
    """What all runs have."""
    return {
        ("run", "engine"): engine,
        ("run", "ladder"): [[job.bank, *job.partners]],
        ("run", "alignment"): "shared",
        ("report", "placebo"): False,
        ("report", "bootstrap"): 20,
        ("contract", "max_equations_share"): 1e6,
        (*_PARAMS, "n_estimators"): trees,
    }


def _turned(job: Job, trees: int, knobs: Sequence[str]) -> list[tuple[str, Any, Settings]]:
    """Every knob at every value, and what that sets; as the scenario has it, nothing."""
    found: list[tuple[str, Any, Settings]] = []
    for knob in knobs:
        values = {_of(job, trees, knob, value) for value in KNOBS[knob]}
        base = _of(job, trees, knob, None)
        for value in sorted({*values, base}, key=lambda v: (isinstance(v, str), v)):
            found.append((knob, value, {} if value == base else _settings(job, knob, value)))
    return found


def _of(job: Job, trees: int, knob: str, value: Any) -> Any:
    """What a knob is turned to, of the scenario; None: as the scenario has it."""
    params = boosting_models(job)[0].params
    base = {
        "budget": job.contract.max_information_share,
        "trees": trees,
        "depth": params.max_depth,
        "bins": params.max_bin,
        "columns": 1.0,
        "noise": job.contract.histogram_noise,
        "split_rows": job.run.split_rows,
    }
    if value is None:
        return base[knob]
    return max(1, round(value * trees)) if knob == "trees" else value


def _settings(job: Job, knob: str, value: Any) -> Settings:
    if knob == "columns":
        every = round(1 / value)
        return {("parties", p, "columns"): list(job.parties[p].columns[::every]) for p in job.partners}
    paths = {
        "budget": ("contract", "max_information_share"),
        "trees": (*_PARAMS, "n_estimators"),
        "depth": (*_PARAMS, "max_depth"),
        "bins": (*_PARAMS, "max_bin"),
        "noise": ("contract", "histogram_noise"),
        "split_rows": ("run", "split_rows"),
    }
    return {paths[knob]: value}


def _named(settings: Settings) -> dict[str, Any]:
    return {".".join(path): value for path, value in settings.items()}


def _point(knob: str, value: Any, run: str, rungs: dict[str, Rung]) -> Point:
    rung = rungs[run]
    change, shares = rung.uplift["auc"], rung.information_share
    return Point(
        knob=knob,
        value=value_text(value),
        run=run,
        auc=rung.metrics["auc"].value,
        uplift=change.value,
        low=change.low,
        high=change.high,
        information_share=sum(shares.values()) / len(shares),
        shares=shares,
        equations_share=rung.equations_share,
    )


def _table(points: Sequence[Point], partners: Sequence[str]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    kinds = ("information_share", "equations_share")
    heads = [f"{kind} {p}" for p in partners for kind in kinds]
    rows.writerow(["knob", "value", "auc", "uplift", "low", "high", "information_share", *heads, "run"])
    for p in points:
        shares = [by[partner] for partner in partners for by in (p.shares, p.equations_share)]
        rows.writerow([p.knob, p.value, p.auc, p.uplift, p.low, p.high, p.information_share, *shares, p.run])
    return text.getvalue()
