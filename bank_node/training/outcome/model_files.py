"""A rung's model as it is kept: the bank's part, what the partners' handles belong to, and what watches with it."""

from typing import Any

import msgspec
import numpy as np

from bank_node.linear.task import FittedGlm
from bank_node.metrics.intervals import point_estimates
from bank_node.metrics.scores import Scored
from bank_node.models.calibration import Calibration
from bank_node.models.folder import About, ModelFolder, SeenColumn, offsets_of, own_columns
from bank_node.record.scorecard import Scorecard
from bank_node.training.outcome.decisions import bands_of, baseline_of, calibration_of, columns_of
from bank_node.training.outcome.scorecards import Counted, scorecard_of
from bank_node.training.training import TrainedRung, Training
from bank_node.trees.scorer import handles_of
from protocol.algorithms.parameters import BoostingParams
from protocol.job import ScorecardModel
from protocol.table.texts import CATEGORY, FORMS


def model_of(training: Training, trained: TrainedRung) -> ModelFolder:
    """The bank's part of a model: trees over handles, and which alignment and bins the partners' handles belong to."""
    model, sessions, partners = trained.fitted.model, training.sessions, trained.rung.partners
    calibration = calibration_of(training, trained)
    card = card_of(training, trained)
    about = About(
        kind=training.job.model(trained.model).kind,
        model=trained.model,
        rung=trained.rung.name,
        placebo=trained.rung.placebo,
        bank=sessions.config.party,
        sha256=model.sha256,
        job_sha256=training.job.sha256,
        alignment_setting=sessions.config.alignment,
        split_rows=sessions.config.split_rows,
        alignment={p: training.alignments[p].alignment for p in partners},
        contract={p: sessions.contracts[p].digest for p in partners},
        pool={p: trained.fitted.kept[p].pool for p in partners},
        bins={sessions.config.party: trained.bins, **{p: training.view(trained, p).layout for p in partners}},
        handles={p: _handles(trained, p) for p in partners},
        data_sha256={sessions.config.party: training.table.sha256, **{p: sessions.welcomes[p].data for p in partners}},
        metrics=_metrics(training, trained),
        seen=_seen(training, trained),
        held={p: training.alignments[p].matches / training.table.rows for p in partners},
        calibration=calibration,
        **_watched(training, trained, calibration),
        scorecard=card.model_dump(mode="json") if card else msgspec.UNSET,
        masked=True if isinstance(trained.fitted, FittedGlm) and trained.fitted.summed else msgspec.UNSET,
    )
    return ModelFolder(about, model)


def _seen(training: Training, trained: TrainedRung) -> dict[str, SeenColumn]:
    """The bank's columns that the model uses, over the rows trained on."""
    table, train = training.table, training.parts == "train"
    used = {*own_columns(trained.fitted.model), *offsets_of(trained.fitted.model)}
    found = {}
    for column in (c.rows(train) for c in table.columns if c.name in used):
        gone = column.codes < 0 if column.kind == "category" else np.isnan(column.numbers)
        plain = FORMS[0] if column.kind == "number" else CATEGORY
        source = column.name if column.name in table.read_as else column.name.rpartition(".")[0]
        present = np.unique(column.codes[column.codes >= 0]).tolist()
        found[column.name] = SeenColumn(
            read=table.read_as.get(source, plain),
            missing=float(gone.mean()),
            categories=tuple(column.categories[code] for code in present),
        )
    return found


def card_of(training: Training, trained: TrainedRung) -> Scorecard | None:
    """The scorecard of a rung; none of another kind of model, or of a placebo, whose bins are those of other rows."""
    job, table = training.job, training.table
    model, fitted = job.model(trained.model), trained.fitted
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
    return handles_of(trained.fitted.model, partner)


def _watched(training: Training, trained: TrainedRung, calibration: Calibration | None) -> dict[str, Any]:
    """What a watch list needs, of a job with [bands]."""
    bands = bands_of(training, trained, calibration)
    if bands is None:
        return {}
    return {"bands": bands, "columns": columns_of(training, trained), "baseline": baseline_of(training, trained)}


def _metrics(training: Training, trained: TrainedRung) -> dict[str, float]:
    """Of the test part; none where there is no test part, or one of a single class."""
    assert training.table.label is not None
    test = training.parts == "test"
    label, weight, task = training.table.label[test], training.table.weight, training.job.task
    if not label.size or (task == "binary" and label.min() == label.max()):
        return {}
    label = label.astype(np.uint8) if task == "binary" else label
    power = variance_power(training, trained) or 0.0
    weight = None if weight is None else weight[test]
    scored = Scored(label, weight, {("", ""): trained.score[test]}, {}, task=task, powers={("", ""): power})
    return point_estimates(scored, training.job.report.alert_rates)["", ""]


def variance_power(training: Training, trained: TrainedRung) -> float | None:
    """Of the deviance by which a regression is judged."""
    params = training.job.model(trained.model).params
    if params.task != "regression":
        return None
    if params.objective == "reg:tweedie" and isinstance(params, BoostingParams):
        return params.tweedie_variance_power
    return 1.0 if params.objective == "count:poisson" else 0.0
