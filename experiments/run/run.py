"""`fedwarn run`: a scenario from its table to its report."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bank_node.record.facts import OfColumn, PartyFacts, RunFacts, read_facts, write_facts
from bank_node.record.messages import say
from bank_node.report.document import Report
from bank_node.report.report import write_report
from bank_node.training.outcome.notes import reading_facts
from experiments.results.spending import announce, rows_of
from experiments.run.deal import Dealt
from experiments.run.launch import Peaks, train_between_processes, train_in_process, train_on_flower
from experiments.run.nodes import Nodes
from experiments.run.partner_environment import partner_environment
from experiments.run.prepare import prepare, write_parties
from experiments.run.resume import finish, keep, unfinished
from experiments.run.sandbox import Place, place_partners
from experiments.run.scenario import concrete
from protocol.files import own_folder
from protocol.he.engines import require
from protocol.job import Job, Run, load_job
from protocol.ledger import export_receipt
from protocol.node.command import TALK
from protocol.settings import check_settings
from protocol.table.notes import lines_of

Progress = Callable[[str, int, int], None]


Trainer = Callable[[Job, Nodes, Path, Progress], Peaks]


def run(
    scenario: Path,
    out: Path,
    *,
    fresh: bool,
    progress: Progress,
    overrides: dict[str, str],
    partner_env: str = "none",
    page: bool = True,
    on_flower: Trainer = train_on_flower,
) -> Report:
    """Deal the table out, start the nodes, train the ladder, write the report. An unfinished run is gone on with.

    overrides: keys of [run] from the command line. partner_env: folder of the partners' own environment, "auto" or
    "none". page: whether report.html is written, too. on_flower: how to train where transport is "flower".
    Raises: FedwarnError of the first node that failed.
    """
    scenario = concrete(scenario)
    job = load_job(scenario)
    settings = check_settings(Run, {**job.run.model_dump(), **overrides}, "the command line")
    job = job.model_copy(update={"run": settings})
    require(job.run.engine, "fedwarn")
    environment = partner_environment(partner_env, job.run.engine)
    dealt, nodes = _parties(job, scenario, out, fresh, progress)
    places: dict[str, Place] = {}
    if job.run.transport == "in-process":
        peaks = train_in_process(job, nodes, out, progress)
    elif job.run.transport == "flower":
        peaks = on_flower(job, nodes, out, progress)
    else:
        places = place_partners(job, nodes, out, environment)
        peaks = train_between_processes(job, nodes, out, progress, places)
    for name in job.partners:  # the bank's node has left its own
        config = nodes.configs[name]
        receipt = own_folder(out / "receipts") / f"{config.parent.name}.jsonl"
        export_receipt(config.parent / "state" / "ledger.sqlite", receipt, name)
    write_facts(out, completed(read_facts(out), dealt, peaks, places))
    progress("report", 0, 1)
    report = write_report(out, page)
    progress("report", 1, 1)
    finish(out)
    return report


def _parties(job: Job, scenario: Path, out: Path, fresh: bool, progress: Progress) -> tuple[Dealt, Nodes]:
    """Those of the unfinished run that is in the folder, or of a new one. Raises: RefusedError: folds do not fit."""
    begun = None if fresh else unfinished(job, scenario, out)
    if begun:
        TALK.say(f"{out.name} holds this run, unfinished: it goes on where it stopped (--fresh begins anew)")
        return begun
    if job.split.folds:
        what = f"training in {job.split.repeats} x {job.split.folds} folds"
        announce([job], rows_of(job), what, enforced=job.data.source is None)
    prepare(out, fresh)
    progress("deal", 0, 1)
    dealt, nodes = write_parties(job, scenario, out)
    keep(job, scenario, out, dealt)
    progress("deal", 1, 1)
    for partner in job.partners:  # the bank's node says its own
        for line in lines_of(partner, dealt.parties[partner].described.notes, "the report lists them"):
            TALK.say(line)
    return dealt, nodes


def completed(facts: RunFacts, dealt: Dealt, peaks: Peaks, places: Mapping[str, Place]) -> RunFacts:
    """The facts with what only the one who dealt the table knows."""
    warnings = [
        warning.named(dealt.features(warning.party)[warning.number]) if isinstance(warning, OfColumn) else warning
        for warning in facts.warnings
    ]
    for name, party in dealt.parties.items():
        if name != facts.label_party:  # the bank's own are there already
            warnings += [say("run_mostly_unique", party=name, column=repr(c)) for c in party.described.mostly_unique]
    parties = {name: _completed_party(party, dealt, name) for name, party in facts.data.parties.items()}
    update = {"parties": parties, "unused": list(dealt.unused), "unverified": list(dealt.unverified)}
    nodes = {partner: place.facts() for partner, place in places.items()}
    peaks = {**facts.measured.peak_rss_mib, **peaks}
    measured = facts.measured.model_copy(update={"peak_rss_mib": peaks, "nodes": nodes})
    data = facts.data.model_copy(update=update)
    return facts.model_copy(update={"data": data, "measured": measured, "warnings": warnings})


def _completed_party(party: PartyFacts, dealt: Dealt, name: str) -> PartyFacts:
    """A partner tells the bank neither names of columns nor its missing-value codes; whoever dealt knows them."""
    names = dealt.features(name) if party.dropped else []
    unique = dealt.parties[name].described.mostly_unique if party.dropped else ()
    known = {f"column {k + 1}": feature for k, feature in enumerate(names)}
    return party.model_copy(
        update={
            "dropped": [known.get(column, column) for column in party.dropped],
            "reasons": {
                known.get(column, column): "mostly unique" if known.get(column) in unique else reason
                for column, reason in party.reasons.items()
            },
            "sentinels": dealt.sentinels[name],
            "reading": party.reading or reading_facts(dealt.parties[name].described.notes),
        }
    )
