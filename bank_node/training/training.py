"""The bank's training: every rung of the ladder under every model, one after another.

`train` reads as a run goes: read the table, agree with the partners, align, fetch hints, then rung by rung grow the
trees, and leave scores, models and facts in the run's folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from bank_node.algorithms.boosting import BankColumns, Boosted, Task, boost
from bank_node.algorithms.glm import fit_glm
from bank_node.algorithms.glm_task import FittedGlm, GlmTask
from bank_node.algorithms.glm_view import DesignView
from bank_node.algorithms.objective import RESPONSES, objective_of, require_labels
from bank_node.algorithms.partner_view import PartnerView
from bank_node.algorithms.selection import Columns, choose
from bank_node.algorithms.woe import count_partners, evidence_of_bank, evidence_of_partner, tell_values
from bank_node.config import BankConfig
from bank_node.evaluation.facts import BinTable, DisclosureRow
from bank_node.outcome.bin_tables import ivs_of, tables_of_bank, tables_of_partner
from bank_node.outcome.early_warning import require_windows
from bank_node.standing import Standing, load_known, save_known
from bank_node.timing import Stopwatch
from bank_node.training.absences import absence_scores, absences_of_glm
from bank_node.training.folds import assign_folds
from bank_node.training.journal import Journal
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
from bank_node.training.parts import Parts, assign_parts
from bank_node.training.preparing import Preparing
from bank_node.training.tally import Tally
from bank_node.watching.banding import require_bandable
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.binning import Cutting, apply_rule, fit_rule
from protocol.algorithms.boosting import Kept, Opened, Opening
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.errors import DataError, UsageError
from protocol.he.streams import digest
from protocol.job import BoostingModel, Job, JobModel, ScorecardModel, linear_params
from protocol.job.ladder import Rung, rungs
from protocol.job.workload import workload
from protocol.messages import F64, I64, encoded_size
from protocol.node.files import own_folder
from protocol.role import Exchange, Replies, Requests, Script, ask, drive
from protocol.table import Table, read_table

View = TypeVar("View", PartnerView, DesignView)
Progress = Callable[[str, int, int], None]
"""Told a phase ("align", "rung all"), how much of it is done, and how much there is."""


@dataclass(frozen=True)
class TrainedRung:
    """One rung under one model. score: predictions, shape (n,), or (n, classes). spent, information: by partner.

    folds: by cut, predictions of training rows by models fitted on the others, each of the shape of score, nan of all
    other rows.
    bins: digest of the bank's own. absent: by partner, scores of the test rows without it.
    """

    rung: Rung
    model: str
    fitted: Boosted | FittedGlm
    score: F64
    seconds: dict[str, float]
    disclosure: list[DisclosureRow]
    spent: dict[str, Opened | Kept]
    information: dict[str, float]
    bins: str
    absent: dict[str, F64]
    folds: F64 | None = None

    @property
    def noisy(self) -> bool:
        """Whether its sums carry noise."""
        return isinstance(self.fitted, Boosted)


@dataclass
class Training:
    """A finished training, before it is written down."""

    job: Job
    table: Table
    parts: Parts
    standing: Standing
    alignments: dict[str, BankAlignment]
    rungs: list[TrainedRung] = field(default_factory=list)
    dropped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    views: dict[tuple[str, Cutting], PartnerView] = field(default_factory=dict)
    own: dict[tuple[Cutting, int], BankColumns] = field(default_factory=dict)
    bin_tables: dict[str, list[BinTable]] = field(default_factory=dict)
    counts: dict[Cutting, Mapping[str, I64]] = field(default_factory=dict)
    encoded: dict[str, Encoded] = field(default_factory=dict)
    folds: I64 | None = None


def read_own_table(config: BankConfig, job: Job) -> Table:
    """The bank's table. Raises: UsageError, DataError."""
    data = config.data
    if job.split.kind == "column" and data.part != job.split.column:
        data = data.model_copy(update={"part": job.split.column})
    if job.early_warning:
        data = data.model_copy(update={"dates": job.early_warning.columns})
    if not data.label:
        raise UsageError(config.party, "its node.toml names no label column", "set [data] label")
    if bool(data.as_of) != bool(job.data.as_of):
        raise UsageError(config.party, "its node.toml and the job differ about as_of", "set it in both, or in neither")
    if config.grid and job.data.grid and config.grid != job.data.grid:
        raise UsageError(config.party, "its node.toml and the job differ about period, first or last", "set them alike")
    spec = data.model_copy(update={"task": job.task})
    table = read_table(data.source, spec, config.party, segments=job.report.segments)
    assert table.label is not None
    for model in job.models:
        require_labels(model.params, table.label, config.party)
    require_windows(job, table)
    return table


def train(config: BankConfig, job: Job, table: Table, exchange: Exchange, progress: Progress) -> Training:
    """Run a job to its end, or go on with one that was interrupted.

    Raises: FedwarnError, from whichever party it comes.
    """
    ladder = rungs(config.party, job.partners, job.run.ladder, job.report.placebo)
    partners = [p for p in job.partners if any(p in rung.partners for rung in ladder)]
    for partner in partners:
        if partner not in config.partners:
            raise UsageError(config.party, f"its node.toml has no [partners.{partner}]", "add its address")
    parts, tally, clock = assign_parts(job.split, table, job.task), Tally(config.party), Stopwatch()
    require_bandable(job, table, parts)
    own_folder(config.state)
    observed = _observed(exchange, tally)
    standing = Standing(config, table, observed, progress)
    with clock("align"):
        standing.agree(partners, job.sha256)
        alignments = standing.align(partners)
    training = Training(job, table, parts, standing, alignments)
    if job.split.folds:
        training.folds = assign_folds(job.split, table, parts == "train", job.task)
    _grow_ladder(training, ladder, exchange, tally, clock, progress)
    return training


def _grow_ladder(
    training: Training, ladder: list[Rung], exchange: Exchange, tally: Tally, clock: Stopwatch, progress: Progress
) -> None:
    """Every rung under every model, through the journal."""
    config, job = training.standing.config, training.job
    folder = own_folder(config.state / "journals" / _journal_name(training))
    with clock("hint"):
        _open_views(training, ladder, folder)
    journal = Journal(folder / "replies", exchange, tally.observe)
    try:
        if job.report.bin_tables:
            training.bin_tables = drive(_bin_tables(training), journal)
        for number, (name, model) in enumerate(zip(job.model_names, job.models, strict=True)):
            opened = drive(_open(training, number), journal)
            under = _Under(training, number, name, journal, tally, opened, progress)
            linear = linear_params(model)
            encoded = None if linear is None else _encode(under, linear, clock)
            if encoded is not None:
                training.encoded[name] = encoded
            for rung in ladder if number == 0 else [r for r in ladder if not r.placebo]:
                if isinstance(model, BoostingModel):
                    trained = _train_rung(under, rung, model.params, clock)
                else:
                    assert linear is not None
                    assert encoded is not None
                    trained = _fit_rung(under, rung, linear, encoded, clock)
                training.rungs.append(trained)
                clock = Stopwatch()
        for view in training.views.values():
            path = training.standing.known_file(view.layout)
            save_known(path, view.known.with_all_of(load_known(path, view.known.rows)))
    finally:
        journal.close()


def _open_views(training: Training, ladder: list[Rung], folder: Path) -> None:
    """A view of every partner for every way of binning. What was known when the job began is what it begins with."""
    for partner, alignment in training.alignments.items():
        for cutting in workload(training.job, partner).cuttings:
            training.views[partner, cutting] = _view(training.standing, partner, alignment, cutting, folder)


def _view(standing: Standing, partner: str, alignment: BankAlignment, cutting: Cutting, folder: Path) -> PartnerView:
    view = standing.view(partner, alignment, cutting)
    at_start = folder / f"{view.layout}.npz"
    if not at_start.exists():
        save_known(at_start, view.known)
    return replace(view, known=load_known(at_start, view.known.rows))


def _bin_tables(training: Training) -> Script[dict[str, list[BinTable]]]:
    """Goods and bads in the bins of every party's columns."""
    label, train = training.table.label, training.parts == "train"
    assert label is not None
    cutting, binning = training.job.cutting, training.job.binning
    bank, columns = training.table.party, _own_columns(training, cutting)
    views = [training.views[p, cutting] for p in training.alignments]
    yield from _open(training, len(training.job.models))
    counts = yield from _counts(training, cutting)
    names, evidence = training.job.parties[bank].names, evidence_of_bank(columns, train, label > 0)
    own = {bank: tables_of_bank(columns, evidence, binning, names)}
    found = {v.name: evidence_of_partner(v, counts[v.name], train, label > 0) for v in views}
    theirs = {v.name: tables_of_partner(v, found[v.name], binning) for v in views}
    values = {v.name: ivs_of(v, found[v.name], binning) for v in views}
    yield from tell_values(views, values, {v.name: training.standing.contracts[v.name].max_iv_decimals for v in views})
    return own | theirs


def _counts(training: Training, cutting: Cutting) -> Script[Mapping[str, I64]]:
    """Rows and bads a bin of every partner's columns, asked once a way of binning."""
    if cutting not in training.counts:
        views, label = [training.views[p, cutting] for p in training.alignments], training.table.label
        assert label is not None
        train = training.parts == "train"
        tested = training.parts == "test" if training.job.selection else None
        training.counts[cutting] = yield from count_partners(training.job.sha256, views, train, label > 0, tested)
    return training.counts[cutting]


def _open(training: Training, number: int) -> Script[dict[str, Opened]]:
    """Declare a model of the job, or its bin tables, to every partner: rows that take part, and the sums needed."""
    fitted = training.parts == "train"
    messages = {}
    for partner, alignment in training.alignments.items():
        plan = workload(training.job, partner).models[number]
        messages[partner] = Opening(
            job=training.job.sha256,
            layout=training.views[partner, plan.cutting].layout,
            rows=int((alignment.positions[fitted] >= 0).sum()),
            equations=plan.equations,
            equations_a_tree=plan.equations_a_tree,
        )
    return (yield from ask(messages, Opened))


@dataclass(frozen=True)
class _Under:
    """What the rungs of one model have in common. number, model: of it. opened: by partner."""

    training: Training
    number: int
    model: str
    journal: Journal
    tally: Tally
    opened: Mapping[str, Opened]
    told: Progress

    @property
    def job_model(self) -> JobModel:
        """As the job has it."""
        return self.training.job.models[self.number]

    @property
    def cutting(self) -> Cutting:
        """Its bins."""
        return self.training.job.cutting_of(self.job_model)

    def progress(self, rung: Rung) -> Callable[[int, int], None]:
        """Tells how far a rung is."""
        return lambda done, total: self.told(f"rung {rung.name}", done, total)


def _encode(under: _Under, params: GlmParams, clock: Stopwatch) -> Encoded:
    """The columns of a linear model, and the partners' hints."""
    training, train = under.training, under.training.parts == "train"
    counts: Mapping[str, I64] = {}
    if params.task == "binary":
        counts = drive(_counts(training, under.cutting), under.journal)
    mine, picking = _own_columns(training, under.cutting), _picking(under)
    own = encode_bank(training.table, mine, params, train, picking)
    views = {}
    with clock("hint"):
        for partner, alignment in training.alignments.items():
            view, least = training.views[partner, under.cutting], training.standing.contracts[partner].min_glm_columns
            columns, absent = design_of(view, training.table, params, train, counts.get(partner), least, picking)
            views[partner] = open_design(training.standing, view, alignment, columns, absent)
    return Encoded(own, views, mine.names, _checks(under, params, mine, counts, picking))


def _picking(under: _Under) -> Picking:
    """How the columns of a linear model are picked."""
    job, parts = under.training.job, under.training.parts
    joined = job.binning if isinstance(under.job_model, ScorecardModel) else None
    counted = job.selection is not None and bool((parts == "test").any())
    preparing = Preparing(job.preparation.treatment(), job.parties[under.training.table.party].prepare)
    return Picking(joined, job.selection, parts == "test" if counted else None, preparing)


def _checks(
    under: _Under, params: GlmParams, columns: BankColumns, counts: Mapping[str, I64], picking: Picking
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


def _fit_rung(under: _Under, rung: Rung, params: GlmParams, encoded: Encoded, clock: Stopwatch) -> TrainedRung:
    """One rung under a linear model."""
    training, table = under.training, under.training.table
    assert table.label is not None
    task = GlmTask(
        label=f"{training.job.sha256}/{rung.name}/{under.model}/0",
        bank=table.party,
        params=params,
        labels=table.label,
        weights=np.ones(table.rows) if table.weight is None else table.weight,
        train=training.parts == "train",
        own=encoded.own,
        partners=tuple(_in_rung(training, rung, encoded.views[partner]) for partner in rung.partners),
        progress=under.progress(rung),
        clock=clock,
    )
    selection = training.job.selection
    if selection is not None:
        least = [0, *(training.standing.contracts[p].min_glm_columns for p in rung.partners)]
        offered = Columns(task.parties, least, params.by_woe)
        task = replace(task, choose=partial(choose, columns=offered, settings=selection))
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


def _train_rung(under: _Under, rung: Rung, params: BoostingParams, clock: Stopwatch) -> TrainedRung:
    training, journal = under.training, under.journal
    task = _task(training, rung, under.model, params, clock, under.progress(rung))
    boosted = drive(boost(task), journal)
    folds = None
    if training.folds is not None and not rung.placebo:
        with clock("folds"):
            folds = _train_folds(training, task, params, journal)
    with clock("score"):
        score = task.objective.predict(boosted.margin)
        absent = {} if rung.placebo else absence_scores(task, boosted, training.table, training.parts)
    return TrainedRung(
        rung, under.model, boosted, score, dict(clock.seconds), under.tally.take(), {**under.opened, **boosted.kept},
        {v.name: v.known.information_share for v in task.partners},
        digest(msgspec.json.encode(task.columns.rules)).hex(),
        absent,
        folds,
    )  # fmt: skip


def _train_folds(training: Training, task: Task, params: BoostingParams, journal: Journal) -> F64:
    """Each training row's prediction in each cut, by a model of the rung fitted on the other folds; nan elsewhere."""
    assert training.folds is not None
    found: F64 | None = None
    for fold in range(1, training.folds.max() + 1):
        inside = training.folds == fold
        fitted = task.train & ~inside.any(axis=0)
        label, columns = f"{task.label.rpartition('/')[0]}/{fold}", _own_columns(training, params.cutting, fold)
        apart = replace(task, label=label, train=fitted, columns=columns, clock=Stopwatch())
        boosted = drive(boost(apart), journal)
        predicted = task.objective.predict(boosted.margin)
        found = np.full((len(inside), *predicted.shape), np.nan) if found is None else found
        cut = int(inside.any(axis=1).argmax())
        found[cut, inside[cut]] = predicted[inside[cut]]
    assert found is not None
    return found


def _task(
    training: Training,
    rung: Rung,
    model: str,
    params: BoostingParams,
    clock: Stopwatch,
    progress: Callable[[int, int], None],
) -> Task:
    job, table, fitted = training.job, training.table, training.parts == "train"
    assert table.label is not None
    weights = np.ones(table.rows) if table.weight is None else table.weight
    contracts = [training.standing.contracts[p] for p in rung.partners]
    return Task(
        label=f"{job.sha256}/{rung.name}/{model}/0",
        bank=training.standing.config.party,
        objective=objective_of(params, table.label, weights),
        train=fitted,
        validation=training.parts == "validation",
        params=params,
        seed=job.run.seed,
        min_rows_per_node=max((c.min_rows_per_node for c in contracts), default=0),
        histogram_noise=max((c.histogram_noise for c in contracts), default=0.0),
        columns=_own_columns(training, params.cutting),
        partners=tuple(_in_rung(training, rung, training.views[p, params.cutting]) for p in rung.partners),
        progress=progress,
        clock=clock,
    )


def _in_rung(training: Training, rung: Rung, view: View) -> View:
    """The partner's view; in the placebo its rows are permuted, after alignment and by the bank alone."""
    if not rung.placebo:
        return view
    held = int((view.positions >= 0).sum())
    return view.permuted(draw(training.job.run.seed, "placebo", view.name).permutation(held))


def _own_columns(training: Training, cutting: Cutting, fold: int = 0) -> BankColumns:
    """The bank's columns, binned once for all rungs; those dropped are kept for the report.

    fold: over the rows that are trained on outside of it; 0: over all that are.
    """
    if (cutting, fold) not in training.own:
        table, fitted = training.table, training.parts == "train"
        if fold:
            assert training.folds is not None
            fitted &= (training.folds != fold).all(axis=0)
        columns = training.own[cutting, fold] = _bin_own(table, cutting, fitted)
        if not fold:
            training.dropped[table.party] = tuple(c.name for c in table.columns if c.name not in columns.names)
    return training.own[cutting, fold]


def _bin_own(table: Table, cutting: Cutting, fitted: npt.NDArray[np.bool_]) -> BankColumns:
    """The bank's columns, binned over the rows that are fitted on; a column left with one bin is dropped."""
    rules = [fit_rule(column.rows(fitted), cutting, 1) for column in table.columns]
    kept = [j for j, rule in enumerate(rules) if rule.ordinary + rule.missing >= 2]
    if not kept:
        raise DataError(
            table.party, "has no usable column: each is constant on the rows trained on", "give more columns"
        )
    bins = np.stack([apply_rule(rules[j], table.columns[j]) for j in kept], axis=1)
    return BankColumns(
        tuple(table.columns[j].name for j in kept), tuple(rules[j] for j in kept), np.ascontiguousarray(bins)
    )


def _journal_name(training: Training) -> str:
    """One journal a job and set of alignments."""
    names = [training.alignments[p].alignment.encode() for p in sorted(training.alignments)]
    return digest(training.job.sha256.encode(), training.standing.config.engine.encode(), *names).hex()


def _observed(exchange: Exchange, tally: Tally) -> Exchange:
    """An exchange whose messages are counted, before there is a journal."""

    def counted(requests: Requests) -> Replies:
        replies = exchange(requests)
        for party, request in requests.items():
            tally.observe(party, request, encoded_size(request), replies[party], encoded_size(replies[party]))
        return replies

    return counted
