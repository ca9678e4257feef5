"""Probabilities of default and bands of a report, and those that the models keep, against their definitions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bank_node.metrics.calibration_fits import Calibrations
from bank_node.models.calibration import Calibration
from bank_node.report.document import REPORT_FILE
from experiments.verify.agreement import differences, same
from experiments.verify.recompute import recompute_bands, recompute_calibration
from experiments.verify.run_folder import RunFolder
from protocol.job.ladder import folder_of


def calibrations(run: RunFolder) -> Iterator[str]:
    """Figures of each map to a probability, by their definitions; and the models' own maps, fitted anew."""
    fits = run.judged[0].calibrations
    for rung in run.report.rungs:
        key, name = (rung.name, rung.model), f"the model {rung.model!r} of rung {rung.name!r}"
        fitted, about = fits.get(key), run.path / "models" / folder_of(rung.name) / rung.model / "model.json"
        if about.is_file() and not _is_kept(about, fitted):
            yield f"the calibration of {name} is not the one that its validation rows give"
        if rung.calibration is None or fitted is None:
            continue
        maps = {"score": None, **{method: _plain(found) for method, found in fitted.fitted.items()}}
        for method, metrics in rung.calibration.test.items():
            anew = recompute_calibration(run.rows[key], maps[method])
            for figure, metric in metrics.items():
                if not same(metric.value, anew[figure]):
                    thing = f"{figure} of {name} by {method}"
                    yield f"{REPORT_FILE} says {metric.value!r} for {thing}, by its definition it is {anew[figure]!r}"


def _plain(calibration: Calibration) -> dict[str, Any]:
    """As model.json has it."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(calibration))
    return found


def _is_kept(about: Path, fitted: Calibrations | None) -> bool:
    """Whether model.json has the map that was fitted anew."""
    kept = json.loads(about.read_text(encoding="utf-8")).get("calibration")
    return not list(differences(kept, fitted and _plain(fitted.chosen), ""))


def bands(run: RunFolder) -> Iterator[str]:
    """Each band's customers and bads by the cut-offs that the report gives; and the models' own cut-offs."""
    report = run.report
    if report.bands is None:
        return
    fits = run.judged[0].calibrations
    for rung in (rung for rung in report.rungs if rung.bands):
        key, name = (rung.name, rung.model), f"the model {rung.model!r} of rung {rung.name!r}"
        assert rung.bands is not None
        cuts = {"red": rung.bands.red, "amber": rung.bands.amber}
        anew = recompute_bands(run.rows[key], _plain(fits[key].chosen), report.bands.model_dump(), cuts)
        for band in rung.bands.bands:
            if not list(differences(anew[band.name], band.model_dump(include=set(anew[band.name])), "")):
                continue
            yield f"{REPORT_FILE} says other figures for band {band.name} of {name} than its definition"
        about = run.path / "models" / folder_of(rung.name) / rung.model / "model.json"
        kept = json.loads(about.read_text(encoding="utf-8")).get("bands") if about.is_file() else None
        if kept is not None and list(differences({k: kept[k] for k in cuts}, cuts, "")):
            yield f"the cut-offs of {name} are not those that its validation rows give"
