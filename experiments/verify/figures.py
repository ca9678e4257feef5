"""The figures of a report against their definitions: each check yields a sentence for all that does not agree."""

from collections.abc import Iterator, Sequence
from math import fsum

from bank_node.metrics.intervals import LEVEL, Metric
from bank_node.report.document import REPORT_FILE, Report, Rung
from bank_node.report.report import build_report
from experiments.verify.agreement import differences, same
from experiments.verify.recompute import (
    Fold,
    Row,
    read_absences,
    read_folds,
    read_rows,
    read_segments,
    recompute,
    recompute_classes,
    recompute_fold_test,
    recompute_holm,
    recompute_numbers,
    recompute_segment,
)
from experiments.verify.run_folder import RunFolder


def document(run: RunFolder) -> Iterator[str]:
    """report.json against a report made anew from scores.csv and facts.json."""
    anew = build_report(run.facts, *run.judged)
    yield from differences(run.report.model_dump(by_alias=True), anew.model_dump(by_alias=True), "")


def points(run: RunFolder) -> Iterator[str]:
    """Every metric of every rung, by its definition."""
    report, earlier = run.report, read_rows(run.path, "in_time")
    for rung in report.rungs:
        yield from _points_of(report, rung, rung.metrics, run.rows, "")
        if rung.in_time is not None:
            yield from _points_of(report, rung, rung.in_time.metrics, earlier, " in time")


def _points_of(
    report: Report, rung: Rung, metrics: dict[str, Metric], rows: dict[tuple[str, str], list[Row]], when: str
) -> Iterator[str]:
    anew = _by_definition(report, rung, rows[rung.name, rung.model])
    for name, metric in metrics.items():
        if not same(metric.value, anew[name]):
            where = f"{name}{when} of rung {rung.name!r}, model {rung.model!r}"
            yield f"{REPORT_FILE} says {metric.value!r} for {where}, by its definition it is {anew[name]!r}"


def folds(run: RunFolder) -> Iterator[str]:
    """Every mean over folds, and every test of two rungs, by its definition."""
    report, rows = run.report, read_folds(run.path)
    found: dict[tuple[str, str], dict[Fold, dict[str, float]]] = {}
    for rung in report.rungs:
        key = rung.name, rung.model
        found[key] = {fold: _by_definition(report, rung, ranked) for fold, ranked in rows.get(key, {}).items()}
        for name, metric in rung.folds.items():
            mean = fsum(fold[name] for fold in found[key].values()) / len(found[key]) if found[key] else None
            if mean is None or not same(metric.value, mean):
                where = f"the mean {name} over folds of rung {rung.name!r}, model {rung.model!r}"
                yield f"{REPORT_FILE} says {metric.value!r} for {where}, by its definition it is {mean!r}"
    holm = recompute_holm([test.p for test in report.fold_tests])
    for test, corrected in zip(report.fold_tests, holm, strict=True):
        ours, theirs = found[test.rung, test.model], found[test.other, test.model]
        changes = {fold: ours[fold][test.metric] - theirs[fold][test.metric] for fold in ours}
        anew = recompute_fold_test(changes, test.low, test.high)
        told = {"value": test.value, "p": test.p, "level": LEVEL if test.high > test.low else 0.0}
        if list(differences(told, anew, "")) or not same(test.p_holm, corrected):
            where = f"{test.rung!r} against {test.other!r} over folds, model {test.model!r}"
            yield f"{REPORT_FILE} says another {test.metric} or p of rung {where} than its definition"


def _by_definition(report: Report, rung: Rung, rows: Sequence[Row]) -> dict[str, float]:
    """Every metric of a rung, by what the label is."""
    if report.task == "regression":
        return recompute_numbers(rows, rung.variance_power or 0.0)
    return recompute_classes(rows) if report.task == "multiclass" else recompute(rows, report.alert_rates)


def absences(run: RunFolder) -> Iterator[str]:
    """The metric without each partner, by its definition."""
    report, found = run.report, read_absences(run.path, run.rows)
    for rung in report.rungs:
        for partner, absence in rung.absence.items():
            rows = found.get((rung.name, rung.model, partner))
            value = _by_definition(report, rung, rows)[absence.metric] if rows else None
            if value is None or not same(absence.without.value, value):
                where = f"the {absence.metric} of rung {rung.name!r}, model {rung.model!r} without {partner!r}"
                yield f"{REPORT_FILE} says {absence.without.value!r} for {where}, by its definition it is {value!r}"


def segments(run: RunFolder) -> Iterator[str]:
    """Each group's customers, bads, AUC and alerts, by their definitions."""
    report, groups = run.report, read_segments(run.path)
    rate = report.headline.metric.partition("@")[2]
    for rung in (rung for rung in report.rungs if rung.segments and report.task == "binary"):
        for column, told in rung.segments.items():
            for group in told:
                ties = groups.get((column, group.value), set())
                anew = recompute_segment(run.rows[rung.name, rung.model], ties, float(rate))
                alerted = group.alerted
                values = {
                    "rows": group.rows,
                    "bads": group.bads,
                    "auc": group.metrics["auc"].value if group.metrics else anew["auc"],
                    "selection": alerted.selection.value if alerted and alerted.selection else anew["selection"],
                    "found": alerted.found.value if alerted and alerted.found else anew["found"],
                }
                if list(differences(values, anew, "")):
                    where = f"{column} {group.value!r} of rung {rung.name!r}, model {rung.model!r}"
                    yield f"{REPORT_FILE} says other figures for segment {where} than their definitions"
