"""The sweep file: a base scenario, what to set in it, and a grid of settings. docs/experiments.md explains it.

base = "csx.toml"
[set]
models.0.params.n_estimators = 30
[grid]
seeds = [1, 2, 3]
parties.bureau.coverage = [0.5, 0.9]
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from experiments.data.own import SCENARIOS
from experiments.run.scenario import load_scenario
from protocol.errors import UsageError
from protocol.job import Job, Title
from protocol.settings import check_settings, parse_toml, resolve

_LONGEST: Final = 60
"""Letters of a run's name before its digest."""

_LONGEST_LIST: Final = 8

Path_ = tuple[str, ...]
Settings = dict[Path_, Any]
"""A value by the path of its key."""


class SweepFile(BaseModel):
    """The file's keys. grid: every combination of its lists. runs: settings listed one by one, each with the grid.

    set: for all runs. pages: whether every run gets a page of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    title: str | Title = ""
    base: str
    set: dict[str, Any] = {}
    grid: dict[str, Any] = {}
    runs: tuple[dict[str, Any], ...] = ()
    pages: bool = True


@dataclass(frozen=True)
class Planned:
    """One run. name: of its folder. settings: those in which runs differ. values: its whole scenario."""

    name: str
    settings: Settings
    values: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All runs, in the order of the grid. axes: what varies, and over which values. base: the scenario's path."""

    name: str
    title: Title
    base: Path
    axes: dict[Path_, list[Any]]
    runs: list[Planned]
    pages: bool


def load_sweep(path: Path) -> Plan:
    """Read a sweep file. Raises: UsageError: a key is unknown or wrong, or the base scenario is not there."""
    file = check_settings(SweepFile, parse_toml(path), path.name)
    text = file.title or file.name
    title = text if isinstance(text, Title) else Title(en=text, zh=text)
    grid = {key: _listed(key, value) for key, value in flat(file.grid).items()}
    listed = [flat(run) for run in file.runs]
    return plan(file.name, title, _base(file.base, path), flat(file.set), grid, listed, file.pages)


def plan(
    name: str, title: Title, base: Path, fixed: Settings, grid: dict[Path_, list[Any]],
    listed: list[Settings] | None = None, pages: bool = True,
) -> Plan:  # fmt: skip
    """Every combination of the grid with each of the listed settings. Raises: UsageError: there is no run."""
    values = _with_whole_paths(parse_toml(base), base)
    put(values, {("run", "transport"): "in-process"})
    put(values, fixed)
    settings = [{**one, **of_grid} for one in listed or [{}] for of_grid in _combinations(grid)]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    axes = {key: _distinct(one[key] for one in settings if key in one) for key in keys}
    runs = [_planned(values, one) for one in settings]
    if len({run.name for run in runs}) < len(runs):
        raise UsageError("sweep", "it lists the same settings twice", "take one of them out")
    return Plan(name, title, base, axes, runs, pages)


def write_scenarios(plan: Plan, folder: Path) -> dict[str, Job]:
    """Write every run's scenario under folder/scenarios, and read it as the run will.

    Raises: UsageError: a setting makes no valid scenario; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = {}
    for run in plan.runs:
        path = folder / f"{run.name}.toml"
        path.write_text(tomli_w.dumps(run.values), encoding="utf-8")
        jobs[run.name] = load_scenario(path)
    return jobs


def flat(table: Mapping[str, Any], above: Path_ = ()) -> Settings:
    """Nested tables as values by path; an array is a value."""
    found: Settings = {}
    for key, value in table.items():
        found |= flat(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
    return found


def put(values: dict[str, Any], settings: Settings) -> None:
    """Set keys in a scenario; a number in a path counts in an array, `*` is all of it.

    Three names stand for more: `seeds` sets all seeds, `partners` keeps these alone, `overlap` is every partner's
    coverage. Raises: UsageError: a path leads nowhere.
    """
    for path, value in settings.items():
        if path == ("seeds",):
            put(values, dict.fromkeys(_seeds(values), value))
        elif path == ("partners",):
            _keep_partners(values, value)
        elif path == ("overlap",):
            put(values, {("parties", p, "coverage"): value for p in _partners(values)})
        else:
            _put(values, path, path, value)


def label_of(path: Path_) -> str:
    """A path as text: what a table calls its column."""
    return ".".join(path)


def short_label(path: Path_, others: Mapping[Path_, Any]) -> str:
    """The shortest end of a path that no other path has; `seeds` is the seed."""
    if path == ("seeds",):
        return "seed"
    for length in range(1, len(path) + 1):
        if sum(other[-length:] == path[-length:] for other in others) == 1:
            return ".".join(path[-length:])
    return label_of(path)


def value_text(value: Any) -> str:
    """A setting's value, short: lists joined by +."""
    if isinstance(value, list) and len(value) > _LONGEST_LIST:
        return f"{len(value)} of them"
    if isinstance(value, list):
        return "+".join(value_text(item) for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _put(place: Any, path: Path_, whole: Path_, value: Any) -> None:
    key, rest = path[0], path[1:]
    if isinstance(place, list):
        chosen = range(len(place)) if key == "*" else [int(key)] if key.isdigit() and int(key) < len(place) else []
        if not chosen:
            raise UsageError("sweep", f"{label_of(whole)!r} names no entry of an array of {len(place)}", "correct it")
        for index in chosen:
            if rest:
                _put(place[index], rest, whole, value)
            else:
                place[index] = deepcopy(value)
    elif isinstance(place, dict):
        if rest:
            _put(place.setdefault(key, {}), rest, whole, value)
        else:
            place[key] = deepcopy(value)
    else:
        raise UsageError("sweep", f"{label_of(whole)!r} leads into a value", "name a key of the scenario")


def _seeds(values: dict[str, Any]) -> list[Path_]:
    """Every seed of a scenario: a table that is made up is another sample with each."""
    made_up = values.get("data", {}).get("source", {}).get("kind") == "generated"
    return [("run", "seed"), ("split", "seed"), *([("data", "source", "seed")] if made_up else [])]


def _partners(values: dict[str, Any]) -> list[str]:
    bank = values.get("label_party") or next(iter(values["parties"]))
    return [party for party in values["parties"] if party != bank]


def _keep_partners(values: dict[str, Any], kept: Any) -> None:
    known = _partners(values)
    unknown = [p for p in kept if p not in known] if isinstance(kept, list) and kept else ["nothing"]
    if unknown:
        raise UsageError("sweep", f"partners names {unknown[0]!r}", f"list some of {', '.join(known)}")
    for party in known:
        if party not in kept:
            del values["parties"][party]


def _combinations(grid: dict[Path_, list[Any]]) -> Iterator[Settings]:
    for chosen in itertools.product(*grid.values()):
        yield dict(zip(grid, chosen, strict=True))


def _listed(path: Path_, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise UsageError("sweep", f"grid.{label_of(path)} is no list of values", "give a list, or put it under [set]")
    return value


def _distinct(values: Iterator[Any]) -> list[Any]:
    """In order of first use; values may be lists."""
    return list({json.dumps(value, default=str): value for value in values}.values())


def _planned(base: dict[str, Any], settings: Settings) -> Planned:
    values = deepcopy(base)
    # First what stands for more: coverage is of the partners kept, and one seed may differ from the rest.
    ordered = sorted(settings, key=lambda path: path[0] not in ("partners", "seeds"))
    put(values, {path: settings[path] for path in ordered})
    text = json.dumps(values, sort_keys=True, default=str)
    told = ",".join(f"{short_label(path, settings)}={value_text(value)}" for path, value in settings.items())
    slug = re.sub(r"[^A-Za-z0-9=.,+-]+", "_", told)[:_LONGEST].strip("._,") or "base"
    return Planned(f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}", settings, values)


def _base(name: str, beside: Path) -> Path:
    """A path relative to the sweep file; or the name of a scenario that comes with the laboratory."""
    path = resolve(Path(name), beside)
    shipped = SCENARIOS / f"{name.removesuffix('.toml')}.toml"
    return path if path.is_file() or not shipped.is_file() else shipped


def _with_whole_paths(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Paths hold wherever the run's scenario is written."""
    load_scenario(base)
    for place in (values.get("data", {}), *values["parties"].values()):
        if "path" in place.get("source", {}):
            place["source"]["path"] = str(resolve(Path(place["source"]["path"]), base))
    return values
