"""`fedwarn verify`: does a run's folder tell the truth about itself?

Point metrics are computed a second time, from `scores.csv` read as plain text and by the definitions in plain
Python, sharing no code with the report. Intervals, uplifts and sentences are computed again by the report's own
code. Models are held against their checksums, and the receipts of each pair of parties against each other.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum, isclose
from pathlib import Path
from typing import Any

import msgspec

from bank_node.evaluation.document import REPORT_FILE, Report, Rung
from bank_node.evaluation.facts import read_facts
from bank_node.evaluation.intervals import LEVEL, Metric
from bank_node.evaluation.report import build_report, read_report, read_run, scores_of
from bank_node.models.calibration import Calibration
from bank_node.models.folder import LINEAR, TREES
from bank_node.watching.calibrating import Calibrations
from experiments.checking.recompute import (
    Fold,
    Row,
    read_absences,
    read_folds,
    read_rows,
    read_segments,
    recompute,
    recompute_bands,
    recompute_calibration,
    recompute_classes,
    recompute_fold_test,
    recompute_holm,
    recompute_numbers,
    recompute_segment,
)
from protocol.algorithms.boosting import Sums, SumsQuery
from protocol.errors import IntegrityError
from protocol.he.engines import ENCRYPTED
from protocol.job.ladder import folder_of
from protocol.ledger.receipts import broken, read_receipt, reconcile

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Held:
    """Which receipts a run's folder has. pairs: the bank and each partner whose receipts were held against each other.

    lacking: parties of the run without a receipt, so that nobody has checked what they say.
    """

    pairs: tuple[tuple[str, str], ...]
    lacking: tuple[str, ...]

    def __str__(self) -> str:
        agree = ", ".join(" and ".join(pair) for pair in self.pairs)
        said = [f"the receipts of {agree} agree"] if agree else ["no two receipts were there to be compared"]
        return "; ".join([*said, *([f"no receipt of {', '.join(self.lacking)}"] if self.lacking else [])])


def receipts_held(folder: Path) -> Held:
    """Which receipts `verify` could hold against each other. A run of the bank alone has none, and lacks none."""
    report = read_report(folder)
    parties = [party for party in report.data.parties if party != report.label_party]
    there = {read_receipt(path).party for path in _receipt_files(folder)}
    pairs = [(report.label_party, p) for p in parties if {report.label_party, p} <= there]
    wanted = [report.label_party, *parties] if parties else []
    return Held(tuple(pairs), tuple(party for party in wanted if party not in there))


def verify(folder: Path) -> list[str]:
    """Everything in a run's folder that does not agree, a sentence each; empty if all does.

    Raises: UsageError: a file of the run is missing or of another version. DataError: scores that admit no figures.
    """
    checks = (
        _document,
        _points,
        _folds,
        _absences,
        _calibrations,
        _segments,
        _bands,
        _watch_list,
        _models,
        _receipts,
        _engine,
    )
    return [found for check in checks for found in check(folder)]


def require_verified(folder: Path) -> None:
    """Raises: IntegrityError: something does not agree; the first of it is named."""
    found = verify(folder)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise IntegrityError("verify", f"{found[0]}{more}", "report this run's figures to nobody; run it again")


def _engine(folder: Path) -> Iterator[str]:
    """The engine that the report names against what the receipts of all parties say was sent."""
    encrypted = {
        entry.encrypted
        for path in _receipt_files(folder)
        for entry in read_receipt(path).entries
        if entry.kind in (SumsQuery.KIND, Sums.KIND)
    }
    engine = read_facts(folder).engine
    if encrypted and encrypted != {ENCRYPTED[engine]}:
        yield f"the report says engine {engine}, and the receipts say otherwise"


def _document(folder: Path) -> Iterator[str]:
    """report.json against a report made anew from scores.csv and facts.json."""
    facts = read_facts(folder)
    scored, watched = read_run(folder, facts)
    anew = build_report(facts, scored, watched)
    stored = read_report(folder)
    yield from _differences(stored.model_dump(by_alias=True), anew.model_dump(by_alias=True), "")


def _differences(stored: Any, anew: Any, where: str) -> Iterator[str]:
    """Places where two documents differ; numbers to 1e-9, all else exactly."""
    if isinstance(stored, dict) and isinstance(anew, dict) and stored.keys() == anew.keys():
        for key, value in stored.items():
            yield from _differences(value, anew[key], f"{where}.{key}" if where else str(key))
    elif isinstance(stored, list) and isinstance(anew, list) and len(stored) == len(anew):
        for index, (left, right) in enumerate(zip(stored, anew, strict=True)):
            yield from _differences(left, right, f"{where}[{index}]")
    elif not _same(stored, anew):
        yield f"{REPORT_FILE} says {_shown(stored)} at {where}, recomputed it is {_shown(anew)}"


def _same(stored: Any, anew: Any) -> bool:
    if isinstance(stored, float) and isinstance(anew, float):
        return isclose(stored, anew, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(stored == anew)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, int | float | bool | None) else f"another {type(value).__name__}"


def _points(folder: Path) -> Iterator[str]:
    """Every metric of every rung, by its definition."""
    report = read_report(folder)
    rows, earlier = read_rows(folder), read_rows(folder, "in_time")
    for rung in report.rungs:
        yield from _points_of(report, rung, rung.metrics, rows, "")
        if rung.in_time is not None:
            yield from _points_of(report, rung, rung.in_time.metrics, earlier, " in time")


def _points_of(
    report: Report, rung: Rung, metrics: dict[str, Metric], rows: dict[tuple[str, str], list[Row]], when: str
) -> Iterator[str]:
    anew = _by_definition(report, rung, rows[rung.name, rung.model])
    for name, metric in metrics.items():
        if not _same(metric.value, anew[name]):
            where = f"{name}{when} of rung {rung.name!r}, model {rung.model!r}"
            yield f"{REPORT_FILE} says {metric.value!r} for {where}, by its definition it is {anew[name]!r}"


def _folds(folder: Path) -> Iterator[str]:
    """Every mean over folds, and every test of two rungs, by its definition."""
    report, rows = read_report(folder), read_folds(folder)
    found: dict[tuple[str, str], dict[Fold, dict[str, float]]] = {}
    for rung in report.rungs:
        key = rung.name, rung.model
        found[key] = {fold: _by_definition(report, rung, ranked) for fold, ranked in rows.get(key, {}).items()}
        for name, metric in rung.folds.items():
            mean = fsum(fold[name] for fold in found[key].values()) / len(found[key]) if found[key] else None
            if mean is None or not _same(metric.value, mean):
                where = f"the mean {name} over folds of rung {rung.name!r}, model {rung.model!r}"
                yield f"{REPORT_FILE} says {metric.value!r} for {where}, by its definition it is {mean!r}"
    holm = recompute_holm([test.p for test in report.fold_tests])
    for test, corrected in zip(report.fold_tests, holm, strict=True):
        ours, theirs = found[test.rung, test.model], found[test.other, test.model]
        changes = {fold: ours[fold][test.metric] - theirs[fold][test.metric] for fold in ours}
        anew = recompute_fold_test(changes, test.low, test.high)
        told = {"value": test.value, "p": test.p, "level": LEVEL if test.high > test.low else 0.0}
        if list(_differences(told, anew, "")) or not _same(test.p_holm, corrected):
            where = f"{test.rung!r} against {test.other!r} over folds, model {test.model!r}"
            yield f"{REPORT_FILE} says another {test.metric} or p of rung {where} than its definition"


def _by_definition(report: Report, rung: Rung, rows: Sequence[Row]) -> dict[str, float]:
    """Every metric of a rung, by what the label is."""
    if report.task == "regression":
        return recompute_numbers(rows, rung.variance_power or 0.0)
    return recompute_classes(rows) if report.task == "multiclass" else recompute(rows, report.alert_rates)


def _absences(folder: Path) -> Iterator[str]:
    """The metric without each partner, by its definition."""
    report = read_report(folder)
    found = read_absences(folder, read_rows(folder))
    for rung in report.rungs:
        for partner, absence in rung.absence.items():
            rows = found.get((rung.name, rung.model, partner))
            value = _by_definition(report, rung, rows)[absence.metric] if rows else None
            if value is None or not _same(absence.without.value, value):
                where = f"the {absence.metric} of rung {rung.name!r}, model {rung.model!r} without {partner!r}"
                yield f"{REPORT_FILE} says {absence.without.value!r} for {where}, by its definition it is {value!r}"


def _calibrations(folder: Path) -> Iterator[str]:
    """Figures of each map to a probability, by their definitions; and the models' own maps, fitted anew."""
    report, rows = read_report(folder), read_rows(folder)
    fits = scores_of(folder, read_facts(folder)).calibrations
    for rung in report.rungs:
        key, name = (rung.name, rung.model), f"the model {rung.model!r} of rung {rung.name!r}"
        fitted, about = fits.get(key), folder / "models" / folder_of(rung.name) / rung.model / "model.json"
        if about.is_file() and not _is_kept(about, fitted):
            yield f"the calibration of {name} is not the one that its validation rows give"
        if rung.calibration is None or fitted is None:
            continue
        maps = {"score": None, **{method: _plain(found) for method, found in fitted.fitted.items()}}
        for method, metrics in rung.calibration.test.items():
            anew = recompute_calibration(rows[key], maps[method])
            for figure, metric in metrics.items():
                if not _same(metric.value, anew[figure]):
                    thing = f"{figure} of {name} by {method}"
                    yield f"{REPORT_FILE} says {metric.value!r} for {thing}, by its definition it is {anew[figure]!r}"


def _plain(calibration: Calibration) -> dict[str, Any]:
    """As model.json has it."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(calibration))
    return found


def _is_kept(about: Path, fitted: Calibrations | None) -> bool:
    """Whether model.json has the map that was fitted anew."""
    kept = json.loads(about.read_text(encoding="utf-8")).get("calibration")
    return not list(_differences(kept, fitted and _plain(fitted.chosen), ""))


def _segments(folder: Path) -> Iterator[str]:
    """Each group's customers, bads, AUC and alerts, by their definitions."""
    report, rows = read_report(folder), read_rows(folder)
    groups = read_segments(folder)
    rate = report.headline.metric.partition("@")[2]
    for rung in (rung for rung in report.rungs if rung.segments and report.task == "binary"):
        for column, told in rung.segments.items():
            for group in told:
                ties = groups.get((column, group.value), set())
                anew = recompute_segment(rows[rung.name, rung.model], ties, float(rate))
                alerted = group.alerted
                values = {
                    "rows": group.rows,
                    "bads": group.bads,
                    "auc": group.metrics["auc"].value if group.metrics else anew["auc"],
                    "selection": alerted.selection.value if alerted and alerted.selection else anew["selection"],
                    "found": alerted.found.value if alerted and alerted.found else anew["found"],
                }
                if list(_differences(values, anew, "")):
                    where = f"{column} {group.value!r} of rung {rung.name!r}, model {rung.model!r}"
                    yield f"{REPORT_FILE} says other figures for segment {where} than their definitions"


def _bands(folder: Path) -> Iterator[str]:
    """Each band's customers and bads by the cut-offs that the report gives; and the models' own cut-offs."""
    facts, report, rows = read_facts(folder), read_report(folder), read_rows(folder)
    if report.bands is None:
        return
    fits = scores_of(folder, facts).calibrations
    for rung in (rung for rung in report.rungs if rung.bands):
        key, name = (rung.name, rung.model), f"the model {rung.model!r} of rung {rung.name!r}"
        assert rung.bands is not None
        cuts = {"red": rung.bands.red, "amber": rung.bands.amber}
        anew = recompute_bands(rows[key], _plain(fits[key].chosen), report.bands.model_dump(), cuts)
        for band in rung.bands.bands:
            if not list(_differences(anew[band.name], band.model_dump(include=set(anew[band.name])), "")):
                continue
            yield f"{REPORT_FILE} says other figures for band {band.name} of {name} than its definition"
        about = folder / "models" / folder_of(rung.name) / rung.model / "model.json"
        kept = json.loads(about.read_text(encoding="utf-8")).get("bands") if about.is_file() else None
        if kept is not None and list(_differences({k: kept[k] for k in cuts}, cuts, "")):
            yield f"the cut-offs of {name} are not those that its validation rows give"


def _watch_list(folder: Path) -> Iterator[str]:
    """watchlist.csv against the bands and scores of the headline's rung, worst first."""
    path, report = folder / "watchlist.csv", read_report(folder)
    key = report.headline.rung, report.headline.model
    bands = next(rung.bands for rung in report.rungs if (rung.name, rung.model) == key)
    if bands is None or not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        told = [(line["id"], line["band"], float(line["score"])) for line in csv.DictReader(file)]
    wanted = [band.name for band in bands.bands[:2] for _ in range(band.rows)]
    scores = {row.tie: row.score for row in read_rows(folder)[key]}
    found = [(hashlib.sha256(name.encode()).hexdigest(), score) for name, _, score in told]
    if [band for _, band, _ in told] != wanted or len({tie for tie, _ in found}) != len(found):
        yield "watchlist.csv has not the red and amber customers of the report"
    elif any(scores.get(tie) != score for tie, score in found):
        yield "watchlist.csv has other customers or scores than the test part of scores.csv"


def _models(folder: Path) -> Iterator[str]:
    """The file of every model under models/RUNG/MODEL against model_sha256."""
    if not (folder / "models").is_dir():
        return
    for rung in read_report(folder).rungs:
        place = folder / "models" / folder_of(rung.name) / rung.model
        path = next((place / name for name in (TREES, LINEAR) if (place / name).is_file()), place / TREES)
        name = f"the model {rung.model!r} of rung {rung.name!r}"
        if not path.is_file():
            yield f"{name} is missing from models/"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != rung.model_sha256:
            yield f"{name} is not the one whose checksum the report gives"


def _receipts(folder: Path) -> Iterator[str]:
    """Each pair of receipts tells the same story; one alone at least holds together."""
    files = _receipt_files(folder)
    found = (
        [broken(read_receipt(files[0]))] if len(files) == 1 else [reconcile(a, b) for a, b in combinations(files, 2)]
    )
    yield from (str(mismatch.error()) for mismatch in found if mismatch is not None)


def _receipt_files(folder: Path) -> list[Path]:
    return sorted((folder / "receipts").glob("*.jsonl"))
