"""What a training leaves in the run's folder: scores, models, and the facts from which the report is made."""

import csv
import io
import os
import platform
import resource
import sys
from importlib.metadata import version
from math import log2
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bank_node.algorithms.boosting import Boosted
from bank_node.algorithms.glm_task import FittedGlm
from bank_node.evaluation.early_warning.watched import WATCHED_FILE
from bank_node.evaluation.facts import (
    Budget,
    DataFacts,
    Leakage,
    Measured,
    PartyFacts,
    RunFacts,
    RungFacts,
    Security,
    Text,
    write_facts,
)
from bank_node.evaluation.intervals import point_estimates
from bank_node.evaluation.scores import ABSENCES_FILE, EVALUATED, FOLDS_FILE, SEGMENTS_FILE, Scored
from bank_node.models.calibration import Calibration
from bank_node.models.folder import About, ModelFolder
from bank_node.models.scorecard import Scorecard
from bank_node.outcome import notes
from bank_node.outcome.early_warning import watched_rows
from bank_node.outcome.linear_facts import linear_facts, with_releases
from bank_node.outcome.scorecards import Counted, scorecard_of
from bank_node.outcome.segments import groups_of
from bank_node.outcome.selection_facts import selection_facts
from bank_node.training.training import TrainedRung, Training
from bank_node.watching.from_training import bands_of, baseline_of, calibration_of, columns_of, write_watch_list
from bank_node.watching.watch_list import WATCH_LIST_FILE
from protocol.algorithms.agreement import Welcome
from protocol.algorithms.parameters import BoostingParams
from protocol.he.base import MAX_PRODUCT, MAX_VALUE
from protocol.he.blind.wide_flooding import flood_cost
from protocol.he.engines import ENGINES
from protocol.he.noise import zcdp
from protocol.he.parameters import CKKS, FLOOD_BUDGET_LOG2, INTEGERS, ONE_HOT, STATISTICAL_BITS_TOTAL, N, Parameters
from protocol.job import ScorecardModel
from protocol.job.ladder import folder_of
from protocol.node.files import write_whole

_LIBRARIES = ("fedwarn", "numpy", "numba", "duckdb", "grpcio", "cryptography", "rbcl", "msgspec")


def write_outcome(training: Training, out: Path, job_text: str, unused: tuple[str, ...] = ()) -> RunFacts:
    """Write scores.csv, absences.csv, models/, facts.json; folds.csv, watchlist.csv, early_warning.csv if asked for.

    unused: columns of a dealt table that no party got.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.csv", _scores(training))
    write_whole(out / ABSENCES_FILE, _absences(training))
    if training.table.segments:
        write_whole(out / SEGMENTS_FILE, _segments(training))
    if training.folds is not None:
        write_whole(out / FOLDS_FILE, _folds(training))
    models = [model_of(training, trained) for trained in training.rungs]
    for model in models:
        model.write(out / "models" / folder_of(model.about.rung) / model.about.model)
    if training.job.bands:
        write_watch_list(training, models, out / WATCH_LIST_FILE)
    if training.job.early_warning:
        tested = training.parts == EVALUATED
        write_whole(out / WATCHED_FILE, watched_rows(training.job.early_warning, training.table, tested))
    facts = _facts(training, job_text, unused)
    write_facts(out, facts)
    return facts


def _scores(training: Training) -> bytes:
    """id, rung, model, part, label, score, and weight and amount where the table has them; floats written exactly.

    With classes the score is that of the largest probability, and the probabilities follow, a column a class.
    """
    table = training.table
    assert table.label is not None
    extra = [(n, v) for n, v in (("weight", table.weight), ("amount", table.amount)) if v is not None]
    classes = [f"score_{k}" for k in range(training.job.models[0].params.num_class)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "rung", "model", "part", "label", "score", *(name for name, _ in extra), *classes])
    ids = [i.decode() for i in table.ids]
    numbers = training.job.task == "regression"
    parts, labels = training.parts.tolist(), (table.label if numbers else table.label.astype(int)).tolist()
    values = [column.tolist() for _, column in extra]
    for t in training.rungs:
        names = [t.rung.name] * table.rows, [t.model] * table.rows
        score = t.score.argmax(axis=1) if classes else t.score
        each = [column.tolist() for column in t.score.T] if classes else []
        rows.writerows(zip(ids, *names, parts, labels, score.tolist(), *values, *each, strict=True))
    return text.getvalue().encode()


def _absences(training: Training) -> bytes:
    """id, rung, model, without, score, and classes as in scores.csv: test rows without each of a rung's partners."""
    classes = [f"score_{k}" for k in range(training.job.models[0].params.num_class)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "rung", "model", "without", "score", *classes])
    ids = [i.decode() for i, part in zip(training.table.ids, training.parts.tolist(), strict=True) if part == "test"]
    for t in training.rungs:
        for partner, found in t.absent.items():
            score, each = (found.argmax(axis=1), found.T.tolist()) if classes else (found, [])
            names = ([name] * len(ids) for name in (t.rung.name, t.model, partner))
            rows.writerows(zip(ids, *names, score.tolist(), *each, strict=True))
    return text.getvalue().encode()


def _segments(training: Training) -> bytes:
    """id, segment, value: the group of every test row by every segment column."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "segment", "value"])
    test = np.flatnonzero(training.parts == "test").tolist()
    for column in training.table.segments:
        groups = groups_of(column, training.parts == "train")
        rows.writerows((training.table.ids[row].decode(), column.name, groups[row]) for row in test)
    return text.getvalue().encode()


def _folds(training: Training) -> bytes:
    """The training rows: id, rung, model, repeat, fold, label, score, and weight and classes as in scores.csv."""
    table, folds = training.table, training.folds
    assert table.label is not None
    assert folds is not None
    classes = [f"score_{k}" for k in range(training.job.models[0].params.num_class)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    weighted = ["weight"] if table.weight is not None else []
    rows.writerow(["id", "rung", "model", "repeat", "fold", "label", "score", *weighted, *classes])
    inside = folds[0] > 0
    ids = [i.decode() for i, one in zip(table.ids, inside.tolist(), strict=True) if one]
    label = table.label if training.job.task == "regression" else table.label.astype(int)
    weight = [] if table.weight is None else [table.weight[inside].tolist()]
    for t in training.rungs:
        for cut, predicted in enumerate(t.folds if t.folds is not None else ()):
            found, fold = predicted[inside], (folds[cut, inside] - 1) % training.job.split.folds + 1
            score, each = (found.argmax(axis=1), found.T.tolist()) if classes else (found, [])
            names = ([name] * len(ids) for name in (t.rung.name, t.model, cut + 1))
            rows.writerows(
                zip(ids, *names, fold.tolist(), label[inside].tolist(), score.tolist(), *weight, *each, strict=True)
            )
    return text.getvalue().encode()


def model_of(training: Training, trained: TrainedRung) -> ModelFolder:
    """The bank's part of a model: trees over handles, and which alignment and bins the partners' handles belong to."""
    model, standing, partners = trained.fitted.model, training.standing, trained.rung.partners
    calibration = calibration_of(training, trained)
    card = card_of(training, trained)
    about = About(
        kind=training.job.models[training.job.model_names.index(trained.model)].kind,
        model=trained.model,
        rung=trained.rung.name,
        placebo=trained.rung.placebo,
        bank=standing.config.party,
        sha256=model.sha256,
        job_sha256=training.job.sha256,
        alignment_setting=standing.config.alignment,
        split_rows=standing.config.split_rows,
        alignment={p: training.alignments[p].alignment for p in partners},
        contract={p: standing.contracts[p].digest for p in partners},
        bins={standing.config.party: trained.bins, **{p: _layout(training, trained, p) for p in partners}},
        handles={p: _handles(trained, p) for p in partners},
        data_sha256={standing.config.party: training.table.sha256, **{p: standing.welcomes[p].data for p in partners}},
        metrics=_metrics(training, trained),
        calibration=calibration,
        **_watched(training, trained, calibration),
        scorecard=card.model_dump(mode="json") if card else msgspec.UNSET,
    )
    return ModelFolder(about, model)


def card_of(training: Training, trained: TrainedRung) -> Scorecard | None:
    """The scorecard of a rung; none of another kind of model, or of a placebo, whose bins are those of other rows."""
    job, table = training.job, training.table
    model, fitted = job.models[job.model_names.index(trained.model)], trained.fitted
    if not isinstance(model, ScorecardModel) or not isinstance(fitted, FittedGlm) or trained.rung.placebo:
        return None
    assert table.label is not None
    counted = Counted(
        columns=training.own[job.cutting, 0],
        views={p: training.views[p, job.cutting] for p in trained.rung.partners},
        counts=training.counts[job.cutting],
        train=training.parts == "train",
        bad=table.label > 0,
        binning=job.binning,
        names=job.parties[table.party].names,
    )
    return scorecard_of(fitted.model, model.params, counted)


def _handles(trained: TrainedRung, partner: str) -> int:
    """Splits of a partner, or its terms."""
    if isinstance(trained.fitted, FittedGlm):
        return len(trained.fitted.model.of(partner))
    return len(trained.fitted.handles[partner])


def _watched(training: Training, trained: TrainedRung, calibration: Calibration | None) -> dict[str, Any]:
    """What a watch list needs, of a job with [bands]."""
    bands = bands_of(training, trained, calibration)
    if bands is None:
        return {}
    return {"bands": bands, "columns": columns_of(training, trained), "baseline": baseline_of(training, trained)}


def _layout(training: Training, trained: TrainedRung, partner: str) -> str:
    """The digest under which the partner has committed itself to its bins."""
    number = training.job.model_names.index(trained.model)
    return training.views[partner, training.job.cutting_of(training.job.models[number])].layout


def _metrics(training: Training, trained: TrainedRung) -> dict[str, float]:
    """Of the test part; none where there is no test part, or one of a single class."""
    assert training.table.label is not None
    test = training.parts == "test"
    label, weight, task = training.table.label[test], training.table.weight, training.job.task
    if not label.size or (task == "binary" and label.min() == label.max()):
        return {}
    label = label.astype(np.uint8) if task == "binary" else label
    power = _variance_power(training, trained) or 0.0
    weight = None if weight is None else weight[test]
    scored = Scored(label, weight, {("", ""): trained.score[test]}, {}, task=task, powers={("", ""): power})
    return point_estimates(scored, training.job.report.alert_rates)["", ""]


def _facts(training: Training, job_text: str, unused: tuple[str, ...]) -> RunFacts:
    job, standing = training.job, training.standing
    used = {p for t in training.rungs for p in t.rung.partners}
    engine = standing.config.engine
    return RunFacts(
        schema=1,
        name=job.name,
        title=Text(en=job.titles.en, zh=job.titles.zh),
        synthetic=job.synthetic,
        engine=engine,
        task=job.task,
        dated=bool(job.data.as_of),
        label_party=standing.config.party,
        security=_security(training, engine),
        data=DataFacts(
            parties={
                standing.config.party: _own_facts(training),
                **{p: _partner_facts(training, p) for p in sorted(used)},
            },
            unused=list(unused),
            unverified=[] if standing.config.data.source.sha256 else [standing.config.party],
        ),
        rungs=[_rung_facts(training, t) for t in training.rungs],
        alert_rates=list(job.report.alert_rates),
        bootstrap=job.report.bootstrap,
        worthwhile=job.report.worthwhile,
        seed=job.run.seed,
        budgets={p: budgets(training, p) for p in sorted(used)},
        bands=job.bands,
        bin_tables=training.bin_tables,
        early_warning=job.early_warning,
        warnings=notes.warnings(training),
        notes=notes.notes(training),
        job=job_text,
        job_sha256=job.sha256,
        data_sha256={
            standing.config.party: training.table.sha256,
            **{p: w.data for p, w in standing.welcomes.items()},
        },
        seeds={"run": job.run.seed, "split": job.split.seed},
        measured=_measured(training),
    )


def _security(training: Training, engine: str) -> Security:
    """Of the blind product: the lattice row in use, and what flooding leaves of one answer and of a hint's life."""
    if engine == "ckks":
        return Security(log2_q=CKKS.log2_q, ring=CKKS.n, classical_bits=ENGINES[engine].classical_bits)
    if engine != "blind":
        return Security(classical_bits=ENGINES[engine].classical_bits or None)
    costs = []
    for (partner, _), view in training.views.items():
        rows = sum(shape.size for shape in view.columns)
        costs.append(10.5 * (len(view.columns) * training.alignments[partner].rows + 2 * N * rows))
    return _strength(ONE_HOT, max(costs, default=None), _linear_strength(training))


def _linear_strength(training: Training) -> Security | None:
    """The same of the ring of whole numbers; None if it is not used.

    An answer is from all rows of the largest matrix that there may be: the bank does not know the partners' numbers.
    """
    costs = []
    for trained in training.rungs:
        if isinstance(trained.fitted, FittedGlm):
            for partner in trained.rung.partners:
                columns = sum(term.party == partner for term in trained.fitted.model.theirs)
                n, products = training.alignments[partner].rows, columns * (columns + 1) // 2
                largest = np.repeat([n * float(MAX_VALUE) ** 2, n * float(MAX_PRODUCT) ** 2], [columns, products])
                costs.append(flood_cost(largest))
    return _strength(INTEGERS, max(costs), None) if costs else None


def _strength(row: Parameters, cost: float | None, linear: Security | None) -> Security:
    """Of a row of the lattice table. cost: of its most expensive answer, of a hint's flood budget.

    The distance goes with the square root of the cost (docs/protocols/blind-product.md, "Why three uniforms").
    """
    answer = None if cost is None else STATISTICAL_BITS_TOTAL + (FLOOD_BUDGET_LOG2 - log2(cost)) / 2
    return Security(
        log2_q=row.log2_q,
        ring=row.n,
        classical_bits=row.classical_bits,
        statistical_bits_answer=None if answer is None else round(answer, 1),
        statistical_bits_total=STATISTICAL_BITS_TOTAL,
        linear=linear,
    )


def _own_facts(training: Training) -> PartyFacts:
    table = training.table
    dropped = training.dropped.get(table.party, ())
    return PartyFacts(
        columns=len(table.columns) - len(dropped),
        held=table.rows,
        matched=table.rows,
        dropped=list(dropped),
        reasons={c: "mostly unique" if c in table.mostly_unique else "one bin" for c in dropped},
        sentinels=table.sentinels,
    )


def _partner_facts(training: Training, partner: str) -> PartyFacts:
    """What a partner has told: numbers, not names."""
    welcome: Welcome = training.standing.welcomes[partner]
    view = next(v for (p, _), v in training.views.items() if p == partner)
    kept = {shape.number for shape in view.columns}
    dropped = [f"column {k + 1}" for k in range(welcome.columns) if k not in kept]
    return PartyFacts(
        columns=len(view.columns),
        held=welcome.rows,
        matched=training.alignments[partner].matches,
        dropped=dropped,
        reasons=dict.fromkeys(dropped, "one bin"),
    )


def _rung_facts(training: Training, trained: TrainedRung) -> RungFacts:
    return RungFacts(
        name=trained.rung.name,
        parties=[training.standing.config.party, *trained.rung.partners],
        model=trained.model,
        placebo=trained.rung.placebo,
        model_sha256=trained.fitted.model.sha256,
        variance_power=_variance_power(training, trained),
        importance=_importance(trained),
        scorecard=card_of(training, trained),
        considered=selection_facts(training, trained),
        disclosure=trained.disclosure,
        leakage={p: with_releases(training, trained, p, leakage(training, trained, p)) for p in trained.rung.partners},
        linear=linear_facts(training, trained),
    )


def _importance(trained: TrainedRung) -> dict[str, float]:
    """By party, its share of the gain; in a linear model, of the spread of its parts of the score."""
    if not isinstance(trained.fitted, FittedGlm):
        return trained.fitted.model.importance()
    spread = trained.fitted.parts.std(axis=1)
    total = float(spread.sum())
    return {p: float(s) / total if total else 0.0 for p, s in zip(trained.fitted.model.parties, spread, strict=True)}


def _variance_power(training: Training, trained: TrainedRung) -> float | None:
    """Of the deviance by which a regression is judged."""
    params = training.job.models[training.job.model_names.index(trained.model)].params
    if params.task != "regression":
        return None
    if params.objective == "reg:tweedie" and isinstance(params, BoostingParams):
        return params.tweedie_variance_power
    return 1.0 if params.objective == "count:poisson" else 0.0


def leakage(training: Training, trained: TrainedRung, partner: str) -> Leakage:
    """What a partner's answers gave away in a rung."""
    noise = training.standing.contracts[partner].histogram_noise
    view = next(v for (p, _), v in training.views.items() if p == partner)
    return Leakage(
        queries=trained.fitted.queries,
        equations_share=trained.spent[partner].equations / max(1, _fitted(training, partner)),
        information_share=trained.information[partner],
        zcdp=zcdp(trained.fitted.queries, len(view.columns), noise) if noise and trained.noisy else None,
    )


def _fitted(training: Training, partner: str) -> int:
    """Rows trained on that the partner holds."""
    return int((training.alignments[partner].positions[training.parts == "train"] >= 0).sum())


def budgets(training: Training, partner: str) -> dict[str, Budget]:
    """What is spent of a partner's budgets at the end of a training, by clause."""
    contract, last = (
        training.standing.contracts[partner],
        [t for t in training.rungs if partner in t.rung.partners][-1],
    )
    enforced = training.standing.welcomes[partner].equation_budget == "enforced"
    return {
        "max_equations_share": Budget(
            limit=contract.max_equations_share,
            spent=last.spent[partner].equations / max(1, _fitted(training, partner)),
            enforced=enforced,
        ),
        "max_information_share": Budget(limit=contract.max_information_share, spent=last.information[partner]),
    }


def _measured(training: Training) -> Measured:
    names = [
        t.rung.name if t.model == training.job.model_names[0] else f"{t.rung.name} / {t.model}" for t in training.rungs
    ]
    seconds = {
        name: {**t.seconds, "total": sum(t.seconds.values())} for name, t in zip(names, training.rungs, strict=True)
    }
    apart = ("align", "hint", "folds")
    per_tree = {
        name: sum(s for phase, s in t.seconds.items() if phase not in apart) / max(1, len(t.fitted.model.trees))
        for name, t in zip(names, training.rungs, strict=True)
        if isinstance(t.fitted, Boosted)
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * (1024 if sys.platform == "darwin" else 1))
    return Measured(
        versions={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        machine={"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count() or 1},
        seconds=seconds,
        seconds_per_tree=per_tree,
        peak_rss_mib={training.standing.config.party: float(np.round(peak, 1))},
    )
