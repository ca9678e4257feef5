"""The facts of a run, from which its report is made."""

from typing import Final

from bank_node.families.catalogue import family_in
from bank_node.family.fitted import Fitted
from bank_node.family.training import TrainedRung, Training
from bank_node.record.facts import DataFacts, PartyFacts, RunFacts, RungFacts, Text
from bank_node.training.outcome import notes
from bank_node.training.outcome.measured import measured_of
from bank_node.training.outcome.security import security_of
from bank_node.training.outcome.spent import budgets, leakage
from protocol.algorithms.agreement import Welcome


def facts_of(training: Training, job_text: str, unused: tuple[str, ...]) -> RunFacts:
    """All facts of a training. job_text: the job file as it stands. unused: columns of a dealt table nobody got."""
    job, sessions = training.job, training.sessions
    used = {p for t in training.rungs for p in t.rung.partners}
    engine = sessions.config.engine
    return RunFacts(
        schema=1,
        name=job.name,
        title=Text(en=job.titles.en, zh=job.titles.zh),
        synthetic=job.synthetic,
        engine=engine,
        task=job.task,
        dated=bool(job.data.as_of),
        label_party=sessions.config.party,
        security=security_of(training, engine),
        data=DataFacts(
            parties={
                sessions.config.party: _own_facts(training),
                **{p: _partner_facts(training, p) for p in sorted(used)},
            },
            unused=list(unused),
            unverified=[] if sessions.config.data.source.sha256 else [sessions.config.party],
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
            sessions.config.party: training.table.sha256,
            **{p: w.data for p, w in sessions.welcomes.items()},
        },
        seeds={"run": job.run.seed, "split": job.split.seed},
        measured=measured_of(training),
    )


def _own_facts(training: Training) -> PartyFacts:
    table = training.table
    dropped = training.dropped.get(table.party, {})
    return PartyFacts(
        title=_title(training, table.party),
        columns=len(table.columns) - len(dropped),
        held=table.rows,
        matched=table.rows,
        dropped=list(dropped),
        reasons=dict(dropped),
        sentinels=table.sentinels,
        reading=notes.reading_facts(table.reading),
    )


def _title(training: Training, party: str) -> Text:
    """What the job calls a party on pages."""
    title = training.job.party_titles[party]
    return Text(en=title.en, zh=title.zh)


_NOT_TOLD: Final = "left with one bin; the partner's preview says why"
"""Of a partner's column, whose values the bank is not told."""


def _partner_facts(training: Training, partner: str) -> PartyFacts:
    """What a partner has told: numbers, not names."""
    welcome: Welcome = training.sessions.welcomes[partner]
    view = next(v for (p, _), v in training.views.items() if p == partner)
    kept = {shape.number for shape in view.columns}
    dropped = [f"column {k + 1}" for k in range(welcome.columns) if k not in kept]
    return PartyFacts(
        title=_title(training, partner),
        columns=len(view.columns),
        held=welcome.rows,
        matched=training.alignments[partner].matches,
        dropped=dropped,
        reasons=dict.fromkeys(dropped, _NOT_TOLD),
    )


def _rung_facts(training: Training, trained: TrainedRung[Fitted]) -> RungFacts:
    family = family_in(training, trained.model)
    return RungFacts(
        name=trained.rung.name,
        parties=[training.sessions.config.party, *trained.rung.partners],
        model=trained.model,
        placebo=trained.rung.placebo,
        model_sha256=trained.fitted.model.sha256,
        variance_power=training.job.model(trained.model).variance_power,
        importance=family.importance(trained.fitted),
        disclosure=trained.disclosure,
        leakage={p: leakage(training, trained, p) for p in trained.rung.partners},
        kept_out=family.kept_out(training, trained),
        **family.facts(training, trained),
    )
