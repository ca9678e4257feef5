"""A training as it goes: agree with the partners, align, fetch hints, then every rung under every model."""

from bank_node.data.parts import assign_parts
from bank_node.decisions.banding import require_bandable
from bank_node.families.catalogue import family_of
from bank_node.family.training import Progress, Training, Under
from bank_node.metrics.fold_assignment import assign_folds
from bank_node.partners.known_splits import load_known, save_known
from bank_node.partners.sessions import PartnerSessions
from bank_node.settings.config import BankConfig
from bank_node.settings.timing import Stopwatch
from bank_node.training.columns import open_views, say_dropped
from bank_node.training.counting import bin_tables
from bank_node.training.journal import Journal
from bank_node.training.model import open_model, open_run
from bank_node.training.planned import steps_within
from bank_node.training.run_keys import erase_old_masters, run_master
from bank_node.training.tally import Tally
from protocol.algorithms.alignment import BankAlignment
from protocol.contract import Contract
from protocol.errors import DataError, UsageError
from protocol.files import own_folder
from protocol.he.streams import derive, digest
from protocol.job import Job
from protocol.job.ladder import Rung, rungs
from protocol.messages import encoded_size
from protocol.role import Exchange, Replies, Requests, drive
from protocol.table import Table


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
    erase_old_masters(config)
    observed = _observed(exchange, tally)
    sessions = PartnerSessions(config, table, observed, progress)
    with clock("align"):
        sessions.agree(partners, job.sha256)
        steps = steps_within(job, sessions.contracts)
        alignments = sessions.align(partners)
    for partner, alignment in alignments.items():
        _require_overlap(partner, alignment, sessions.contracts[partner], job)
    training = Training(job, table, parts, sessions, alignments, steps)
    if job.split.folds:
        training.folds = assign_folds(job.split, table, parts == "train", job.task)
    say_dropped(training)
    _grow_ladder(training, ladder, exchange, tally, clock, progress)
    sessions.part(partners, job.sha256)
    return training


def _require_overlap(partner: str, alignment: BankAlignment, contract: Contract, job: Job) -> None:
    """Raises: DataError: so few rows are held that the contract admits no split of them."""
    needed = max(model.fewest_matches(contract) for model in job.models)
    if alignment.matches < needed:
        held = f"{alignment.matches:,} of {len(alignment.positions):,} rows are held; at least {needed} are needed"
        remedy = "`bank-node doctor` compares how ids are written; or leave the partner out"
        raise DataError(partner, f"{held} (contract clauses min_rows_per_bin and min_rows_per_node)", remedy)


def _grow_ladder(
    training: Training, ladder: list[Rung], exchange: Exchange, tally: Tally, clock: Stopwatch, progress: Progress
) -> None:
    """Every rung under every model, through the journal. The placebo is of the first model alone."""
    job, folder = training.job, own_folder(training.sessions.config.state / "journals" / _journal_name(training))
    master = run_master(training.sessions.config, folder, job.sha256)
    training.sessions.seal_under(master)
    with clock("hint"):
        open_views(training, folder)
    journal = Journal(folder / "replies", exchange, tally.observe)
    nonce = derive(master, "run nonce")
    try:
        drive(open_run(training, nonce), journal)
        if job.report.bin_tables:
            training.bin_tables = drive(bin_tables(training), journal)
        for number, name in enumerate(job.model_names):
            opened, family = drive(open_model(training, number), journal), family_of(job.models[number].kind)
            under = Under(training, number, name, journal, tally.take, opened, progress)
            family.prepare(under, clock)
            for rung in ladder if number == 0 else [r for r in ladder if not r.placebo]:
                training.rungs.append(family.train(under, rung, clock))
                clock = Stopwatch()
        _keep_known(training)
    finally:
        journal.close()


def _keep_known(training: Training) -> None:
    """What was learnt of the partners' thresholds, for jobs to come."""
    for view in training.views.values():
        path = training.sessions.known_file(view.layout)
        save_known(path, view.known.with_all_of(load_known(path, view.known.rows)))


def _journal_name(training: Training) -> str:
    """One journal a job and set of alignments."""
    names = [training.alignments[p].alignment.encode() for p in sorted(training.alignments)]
    return digest(training.job.sha256.encode(), training.sessions.config.engine.encode(), *names).hex()


def _observed(exchange: Exchange, tally: Tally) -> Exchange:
    """An exchange whose messages are counted, before there is a journal."""

    def counted(requests: Requests) -> Replies:
        replies = exchange(requests)
        for party, request in requests.items():
            tally.observe(party, request, encoded_size(request), replies[party], encoded_size(replies[party]))
        return replies

    return counted
