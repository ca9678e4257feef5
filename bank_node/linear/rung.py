"""A rung of a linear model: its columns encoded once for all rungs, then a fit each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from bank_node.family.bank_columns import BankColumns
from bank_node.family.columns import in_rung, own_columns
from bank_node.family.objective import RESPONSES
from bank_node.family.training import TrainedRung, Under
from bank_node.linear.columns import (
    Encoded,
    Picking,
    Weighed,
    design_of,
    encode_bank,
    open_design,
    weigh_bank,
    weigh_partner,
)
from bank_node.linear.fit import fit_glm
from bank_node.linear.preparing import Preparing
from bank_node.linear.selection import Columns, choose
from bank_node.linear.task import FittedGlm, Flags, GlmTask
from bank_node.linear.woe import counts_of
from bank_node.models.offset import Offset
from bank_node.partners.masks import agree_on_masks
from bank_node.settings.timing import Stopwatch
from protocol.algorithms.glm import Design
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.masks import FEWEST
from protocol.job import Binning
from protocol.job.ladder import Rung
from protocol.messages import F64, I64
from protocol.role import drive
from protocol.table import Table


def encode(under: Under, params: GlmParams, clock: Stopwatch, joined: Binning | None) -> Encoded:
    """The columns of a linear model, and the partners' hints. joined: how fine bins are joined; None: they are not."""
    training, train = under.training, under.training.parts == "train"
    counts: Mapping[str, I64] = {}
    if params.task == "binary":
        counts = drive(counts_of(training, under.cutting), under.exchange)
    mine, picking = own_columns(training, under.cutting), _picking(under, joined)
    own = encode_bank(training.table, mine, params, train, picking)
    views = {}
    with clock("hint"):
        for partner, alignment in training.alignments.items():
            view, least = training.views[partner, under.cutting], training.sessions.contracts[partner].min_glm_columns
            columns, absent = design_of(view, training.table, params, train, counts.get(partner), least, picking)
            asked = Design(
                layout=view.layout, job=training.job.sha256, run=training.runs[partner], model=under.number,
                columns=columns,
            )  # fmt: skip
            views[partner] = open_design(training.sessions, view, alignment, asked, absent)
    return Encoded(own, views, mine.names, _checks(under, params, mine, counts, picking))


def _picking(under: Under, joined: Binning | None) -> Picking:
    """How the columns of a linear model are picked."""
    job, parts = under.training.job, under.training.parts
    counted = job.selection is not None and bool((parts == "test").any())
    preparing = Preparing.of_job(job, under.training.table.party)
    return Picking(joined, job.selection, parts == "test" if counted else None, preparing)


def _checks(
    under: Under, params: GlmParams, columns: BankColumns, counts: Mapping[str, I64], picking: Picking
) -> dict[str, Sequence[Weighed]]:
    """What is checked of every party's columns alone, if the job selects."""
    training = under.training
    if training.job.selection is None:
        return {}
    table, train = training.table, training.parts == "train"
    found = {table.party: weigh_bank(table, columns, params, train, picking)}
    for partner in training.alignments:
        view = training.views[partner, under.cutting]
        found[partner] = weigh_partner(view, table, params, train, counts.get(partner), picking)
    return {party: one for party, one in found.items() if one is not None}


def fit_rung(under: Under, params: GlmParams, encoded: Encoded, rung: Rung, clock: Stopwatch) -> TrainedRung[FittedGlm]:
    """One rung under a linear model."""
    training, task = under.training, task_of(under, params, encoded, rung, clock)
    fitted = drive(fit_glm(task), under.exchange)
    with clock("score"):
        score = RESPONSES[params.objective](fitted.margin)
        absent = {} if rung.placebo else _absences(fitted, training.parts == "test")
    return under.trained(rung, fitted, score, absent, encoded.own.terms, clock)


def task_of(under: Under, params: GlmParams, encoded: Encoded, rung: Rung, clock: Stopwatch) -> GlmTask:
    """What is fitted; which columns are kept is chosen on the way, if the job selects."""
    training, table = under.training, under.training.table
    assert table.label is not None
    task = GlmTask(
        label=training.label("cross", under.number, rung),
        bank=table.party,
        params=params.model_copy(update={"max_iter": min(params.max_iter, training.steps)}),
        labels=table.label,
        weights=np.ones(table.rows) if table.weight is None else table.weight,
        train=training.parts == "train",
        own=encoded.own,
        partners=tuple(in_rung(training, rung, encoded.views[partner]) for partner in rung.partners),
        progress=under.progress(rung),
        offset=offset_of(params, table),
        clock=clock,
        shared=training.sessions.config.alignment == "shared",
        masks=_masks(under, rung),
        subject=training.subject,
    )
    selection = training.job.selection
    if selection is not None:
        least = [0, *(view.least for view in task.partners)]
        offered = Columns(task.parties, least, params.by_woe)
        task = replace(task, choose=partial(choose, columns=offered, settings=selection))
    return task


def _masks(under: Under, rung: Rung) -> str:
    """Masks of the rung's partners, agreed on once a job; "" where there is nobody to hide among, or nobody asks."""
    training, partners = under.training, tuple(sorted(rung.partners))
    asked = any(training.sessions.contracts[p].masked_scores for p in partners)
    if len(partners) < FEWEST or not asked or training.sessions.config.alignment != "shared":
        return ""
    if partners not in training.masks:
        alignments = {p: training.alignments[p].alignment for p in partners}
        script = agree_on_masks(training.table.party, training.subject, alignments)
        training.masks[partners] = drive(script, under.exchange)
    return training.masks[partners]


def offset_of(params: GlmParams, table: Table) -> tuple[Offset, F64] | None:
    """What a linear model takes without a coefficient, with its numbers, shape (n,)."""
    if not params.offset_column:
        return None
    return Offset(params.offset_column, bool(params.exposure)), table.numbers[params.offset_column]


def _absences(fitted: FittedGlm, test: Flags) -> dict[str, F64]:
    """Scores of the test rows of a linear model by the partner that is absent: as if it held no row.

    None where masks hide what each partner adds: rows are then scored with all of them, or by another rung's model.
    """
    if fitted.summed:
        return {}
    model, whole = fitted.model, fitted.parts[:, test].sum(axis=0)
    return {
        partner: RESPONSES[model.objective](model.margin(whole - fitted.parts[k, test] + model.not_held(partner)))
        for k, partner in enumerate(model.parties)
        if k
    }
