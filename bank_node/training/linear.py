"""A rung of a linear model: its columns encoded once for all rungs, then a fit each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np

from bank_node.family.bank_columns import BankColumns
from bank_node.family.objective import RESPONSES
from bank_node.linear.fit import fit_glm
from bank_node.linear.selection import Columns, choose
from bank_node.linear.task import GlmTask
from bank_node.partners.masks import agree_on_masks
from bank_node.settings.timing import Stopwatch
from bank_node.training.absences import absences_of_glm
from bank_node.training.columns import in_rung, own_columns
from bank_node.training.counting import counts_of
from bank_node.training.linear_columns import (
    Encoded,
    Picking,
    Weighed,
    design_of,
    encode_bank,
    open_design,
    weigh_bank,
    weigh_partner,
)
from bank_node.training.model import Under
from bank_node.training.own_table import offset_of
from bank_node.training.preparing import Preparing
from bank_node.training.training import TrainedRung
from protocol.algorithms.glm import Design
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.masks import FEWEST
from protocol.he.streams import digest
from protocol.job import ScorecardModel
from protocol.job.ladder import Rung
from protocol.messages import I64
from protocol.role import drive


def encode(under: Under, params: GlmParams, clock: Stopwatch) -> Encoded:
    """The columns of a linear model, and the partners' hints."""
    training, train = under.training, under.training.parts == "train"
    counts: Mapping[str, I64] = {}
    if params.task == "binary":
        counts = drive(counts_of(training, under.cutting), under.journal)
    mine, picking = own_columns(training, under.cutting), _picking(under)
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


def _picking(under: Under) -> Picking:
    """How the columns of a linear model are picked."""
    job, parts = under.training.job, under.training.parts
    joined = job.binning if isinstance(under.job_model, ScorecardModel) else None
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


def fit_rung(under: Under, params: GlmParams, encoded: Encoded, rung: Rung, clock: Stopwatch) -> TrainedRung:
    """One rung under a linear model."""
    training, task = under.training, _task(under, params, encoded, rung, clock)
    fitted = drive(fit_glm(task), under.journal)
    with clock("score"):
        score = RESPONSES[params.objective](fitted.margin)
        absent = {} if rung.placebo else absences_of_glm(fitted, training.parts == "test")
    return TrainedRung(
        rung, under.model, fitted, score, dict(clock.seconds), under.tally.take(), {**under.opened, **fitted.kept},
        {p: training.views[p, under.cutting].known.information_share for p in rung.partners},
        digest(msgspec.json.encode(encoded.own.terms)).hex(),
        absent,
    )  # fmt: skip


def _task(under: Under, params: GlmParams, encoded: Encoded, rung: Rung, clock: Stopwatch) -> GlmTask:
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
        training.masks[partners] = drive(script, under.journal)
    return training.masks[partners]
