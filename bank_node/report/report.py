"""The uplift report of a run: `report.json` and `report.html` from `scores.csv` and `facts.json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bank_node.data.saved import loaded
from bank_node.metrics.absence import Absence, absences
from bank_node.metrics.folds import Values, fold_metrics, fold_uplifts, fold_values
from bank_node.metrics.intervals import Estimates
from bank_node.metrics.measures import LOWER_IS_BETTER, headline_metric, names_of, sensitive_metric
from bank_node.metrics.score_files import scores_in
from bank_node.metrics.scores import SCORES_FILE, Key, Scored
from bank_node.metrics.segments import Segment, segments
from bank_node.record.facts import RunFacts, RungFacts, Text, read_facts
from bank_node.record.messages import say
from bank_node.report.banded import Banded, banded
from bank_node.report.calibrated import Calibrated, calibrated
from bank_node.report.document import REPORT_FILE, Data, Headline, InTime, Placebo, Report, Rung
from bank_node.report.early_warning.build import WatchedReport, watch
from bank_node.report.early_warning.watched import Watched, watched_in
from bank_node.report.fold_tests import fold_tests
from bank_node.report.names import Names
from bank_node.report.page.page import render_page
from bank_node.report.uplift import base_of, exposure, full_of, key_of, swap_set
from bank_node.report.verdict import verdicts
from bank_node.report.wording import metric_name, relative_change, signed, uplift_sentence
from protocol.algorithms.parameters import Task
from protocol.errors import UsageError
from protocol.files import write_whole

PAGE_FILE = "report.html"


def write_report(folder: Path, page: bool = True) -> Report:
    """Compute the report of a run and put both its forms into the run's folder; page: report.html, too.

    Raises:
        UsageError: `scores.csv` or `facts.json` is missing or of another version.
        DataError: the scores do not admit the figures (one class only, rungs over different rows, ...).
    """
    facts = read_facts(folder)
    scored, watched = read_run(folder, facts)
    report = build_report(facts, scored, watched)
    write_whole(folder / REPORT_FILE, report.to_json().encode(), 0o644)
    if page:
        write_whole(folder / PAGE_FILE, render_page(report, scored).encode(), 0o644)
    return report


def read_run(folder: Path, facts: RunFacts) -> tuple[Scored, Watched | None]:
    """The scores of a run, and the dates of its test rows where the job watches them month by month.

    Raises: as read_scores and watched_in.
    """
    keys = [key_of(rung) for rung in facts.rungs]
    powers = {key_of(rung): rung.variance_power or 0.0 for rung in facts.rungs}
    with loaded(folder / SCORES_FILE) as table:
        scored = scores_in(table, folder, keys, facts.task, powers, facts.dated)
        if facts.early_warning is None:
            return scored, None
        real = [key_of(rung) for rung in facts.rungs if not rung.placebo]
        return scored, watched_in(table, folder, real, len(scored.label))


def read_report(folder: Path) -> Report:
    """The report of a finished run.

    Raises: UsageError: there is none, or of another version.
    """
    path = folder / REPORT_FILE
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("report", f"{path} is missing", "give the folder of a finished run") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UsageError("report", f"{path} is not a report at {where!r}", "write it with this version") from error


def build_report(facts: RunFacts, scored: Scored, watched: Watched | None = None) -> Report:
    """The document, from facts, scores and dates alone."""
    settings = facts.alert_rates, facts.bootstrap, facts.seed
    real = [key_of(rung) for rung in facts.rungs if not rung.placebo]
    judged = _Judged(
        estimates=Estimates.of(scored, *settings),
        earlier=Estimates.of(scored.in_time, *settings) if scored.in_time else None,
        folds=fold_values(scored, facts.alert_rates),
        absences=absences(scored, *settings),
        calibrations=calibrated(scored, real, facts.bootstrap, facts.seed),
        segments=_segments(facts, scored),
        bands={key: found for key in real if (found := banded(scored, key, facts.bands))},
    )
    rungs = [_rung(facts, rung, scored, judged) for rung in facts.rungs]
    placebos = [_placebo(rung, facts.task) for rung in rungs if rung.placebo]
    names = Names.of(facts.data, facts.label_party)
    shared = facts.model_dump(by_alias=True, exclude={"rungs", "data", "warnings", "seed", "early_warning"})
    return Report.model_validate(
        shared
        | {
            "data": Data(**facts.data.model_dump(), **scored.counts),
            "seeds": facts.seeds | {"bootstrap": facts.seed},
            "rungs": rungs,
            "headline": _headline(facts, rungs),
            "placebo": placebos,
            "verdicts": verdicts(rungs, placebos, facts.task, names, facts.worthwhile),
            "fold_tests": fold_tests(judged.folds, rungs, facts.task),
            "early_warning": _watched(facts, scored, watched),
            "warnings": [*facts.warnings, *_warnings(placebos)],
        }
    )


def _watched(facts: RunFacts, scored: Scored, watched: Watched | None) -> WatchedReport | None:
    """Every rung but the placebo, held against its base."""
    if facts.early_warning is None or watched is None:
        return None
    return watch(scored, watched, _bases(facts), facts.early_warning, facts.bootstrap, facts.seed)


def _segments(facts: RunFacts, scored: Scored) -> dict[Key, dict[str, list[Segment]]]:
    """Alerts are those of the headline."""
    rate = headline_metric(facts.task, facts.alert_rates).partition("@")[2]
    return segments(scored, facts, _bases(facts), float(rate) if rate else None)


def _bases(facts: RunFacts) -> dict[Key, Key]:
    """Of every rung but the placebo."""
    return {
        key_of(rung): key_of(base_of(_of_model(facts, rung.model), facts.label_party))
        for rung in facts.rungs
        if not rung.placebo
    }


@dataclass(frozen=True)
class _Judged:
    """What was computed of all rungs at once. earlier: of the rows drawn in time, if there are any."""

    estimates: Estimates
    earlier: Estimates | None
    folds: Values
    absences: dict[Key, dict[str, Absence]]
    calibrations: dict[Key, Calibrated]
    bands: dict[Key, Banded]
    segments: dict[Key, dict[str, list[Segment]]]


def _rung(facts: RunFacts, rung: RungFacts, scored: Scored, judged: _Judged) -> Rung:
    base = base_of(_of_model(facts, rung.model), facts.label_party)
    key, base_key, names = key_of(rung), key_of(base), names_of(facts.task, facts.alert_rates)
    metrics = {name: judged.estimates.metric(key, name) for name in names}
    uplift = {name: judged.estimates.uplift(key, base_key, name) for name in names}
    main = headline_metric(facts.task, facts.alert_rates)
    folds = judged.folds.get(key, {})
    exposed = scored.amount is not None and facts.task == "binary"
    names_in_words = Names.of(facts.data, facts.label_party)
    return Rung(
        **rung.model_dump(),
        metrics=metrics,
        uplift=uplift,
        swap_set={str(r): swap_set(scored, key, base_key, r) for r in facts.alert_rates if facts.task == "binary"},
        exposure={str(r): exposure(scored, key, base_key, r) for r in facts.alert_rates} if exposed else {},
        folds=fold_metrics(folds),
        folds_uplift=fold_uplifts(folds, judged.folds.get(base_key, {})),
        absence=judged.absences.get(key, {}),
        calibration=judged.calibrations.get(key),
        bands=judged.bands.get(key),
        segments=judged.segments.get(key, {}),
        in_time=judged.earlier and _in_time(judged.earlier, key, base_key, names),
        sentence=uplift_sentence(
            main, names_in_words.party_set(rung), names_in_words.party_set(base), metrics[main], uplift[main]
        ),
    )


def _in_time(estimates: Estimates, key: Key, base: Key, names: Sequence[str]) -> InTime:
    return InTime(
        metrics={name: estimates.metric(key, name) for name in names},
        uplift={name: estimates.uplift(key, base, name) for name in names},
    )


def _of_model(facts: RunFacts, model: str) -> list[RungFacts]:
    return [rung for rung in facts.rungs if rung.model == model]


def _headline(facts: RunFacts, rungs: list[Rung]) -> Headline:
    name, model = headline_metric(facts.task, facts.alert_rates), facts.rungs[0].model
    ladder = _of_model(facts, model)
    full, base = key_of(full_of(ladder)), base_of(ladder, facts.label_party)
    rung = next(rung for rung in rungs if (rung.name, rung.model) == full)
    value, uplift = rung.metrics[name].value, rung.uplift[name]
    return Headline(
        metric=name,
        rung=rung.name,
        model=model,
        base=base.name,
        value=value,
        uplift=uplift.value,
        low=uplift.low,
        high=uplift.high,
        relative=relative_change(value - uplift.value, uplift.value),
        sentence=rung.sentence,
    )


def _placebo(rung: Rung, task: Task) -> Placebo:
    """By the most sensitive metric, and one verdict a rung leaves no room to look for a pleasant one."""
    name = sensitive_metric(task)
    change = rung.uplift[name]
    return Placebo(
        rung=rung.name, model=rung.model, metric=name, low=change.low, high=change.high, covers_zero=not change.shown
    )


def _warnings(placebos: list[Placebo]) -> list[Text]:
    return [
        say(
            "placebo_above" if (placebo.low > 0) != (placebo.metric in LOWER_IS_BETTER) else "placebo_below",
            rung=placebo.rung,
            model=placebo.model,
            metric=metric_name(placebo.metric),
            low=signed(placebo.metric, placebo.low),
            high=signed(placebo.metric, placebo.high),
        )
        for placebo in placebos
        if not placebo.covers_zero
    ]
