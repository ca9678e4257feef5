"""A rung's model as it is kept: the bank's part, what the partners' handles belong to, and what watches with it."""

from typing import Any

import numpy as np

from bank_node.families.catalogue import family_in, family_of
from bank_node.family.fitted import Fitted
from bank_node.family.training import TrainedRung, Training
from bank_node.metrics.intervals import point_estimates
from bank_node.metrics.scores import Scored
from bank_node.models.calibration import Calibration
from bank_node.models.folder import About, ModelFolder, SeenColumn
from bank_node.training.outcome.decisions import bands_of, calibration_of
from protocol.table.texts import CATEGORY, FORMS


def model_of(training: Training, trained: TrainedRung[Fitted]) -> ModelFolder:
    """The bank's part of a model, and which alignment and bins the partners' handles belong to."""
    model, sessions, partners = trained.fitted.model, training.sessions, trained.rung.partners
    calibration = calibration_of(training, trained)
    kind = training.job.model(trained.model).kind
    family = family_of(kind)
    about = About(
        kind=kind,
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
        handles={p: family.handles(trained, p) for p in partners},
        data_sha256={sessions.config.party: training.table.sha256, **{p: sessions.welcomes[p].data for p in partners}},
        metrics=_metrics(training, trained),
        seen=_seen(training, trained),
        held={p: training.alignments[p].matches / training.table.rows for p in partners},
        calibration=calibration,
        **_watched(training, trained, calibration),
        **family.about(training, trained),
    )
    return ModelFolder(about, model)


def _seen(training: Training, trained: TrainedRung[Fitted]) -> dict[str, SeenColumn]:
    """The bank's columns that the model uses, over the rows trained on."""
    table, train = training.table, training.parts == "train"
    used = {*trained.fitted.model.own_columns, *trained.fitted.model.offset_columns}
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


def _watched(training: Training, trained: TrainedRung[Fitted], calibration: Calibration | None) -> dict[str, Any]:
    """What a watch list needs, of a job with [bands]."""
    bands = bands_of(training, trained, calibration)
    if bands is None:
        return {}
    columns, baseline = family_in(training, trained.model).explained_by(training, trained)
    return {"bands": bands, "columns": columns, "baseline": baseline}


def _metrics(training: Training, trained: TrainedRung[Fitted]) -> dict[str, float]:
    """Of the test part; none where there is no test part, or one of a single class."""
    assert training.table.label is not None
    test = training.parts == "test"
    label, weight, task = training.table.label[test], training.table.weight, training.job.task
    if not label.size or (task == "binary" and label.min() == label.max()):
        return {}
    label = label.astype(np.uint8) if task == "binary" else label
    power = training.job.model(trained.model).variance_power or 0.0
    weight = None if weight is None else weight[test]
    scored = Scored(label, weight, {("", ""): trained.score[test]}, {}, task=task, powers={("", ""): power})
    return point_estimates(scored, training.job.report.alert_rates)["", ""]
