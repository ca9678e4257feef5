"""What a training leaves in the run's folder: scores, models, and the facts from which the report is made."""

from pathlib import Path

from bank_node.decisions.watch_list import WATCH_LIST_FILE
from bank_node.family.training import Training
from bank_node.metrics.scores import ABSENCES_FILE, EVALUATED, FOLDS_FILE, SEGMENTS_FILE
from bank_node.record.facts import RunFacts, write_facts
from bank_node.report.early_warning.watched import WATCHED_FILE
from bank_node.training.outcome.decisions import write_watch_list
from bank_node.training.outcome.model_files import model_of
from bank_node.training.outcome.run_facts import facts_of
from bank_node.training.outcome.score_files import absences_file, folds_file, scores_file, segments_file
from bank_node.training.outcome.watched_rows import watched_rows
from protocol.files import write_whole
from protocol.job.ladder import folder_of


def write_outcome(training: Training, out: Path, job_text: str, unused: tuple[str, ...] = ()) -> RunFacts:
    """Write scores.csv, absences.csv, models/, facts.json; folds.csv, watchlist.csv, early_warning.csv if asked for.

    unused: columns of a dealt table that no party got.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.csv", scores_file(training))
    write_whole(out / ABSENCES_FILE, absences_file(training))
    if training.table.segments:
        write_whole(out / SEGMENTS_FILE, segments_file(training))
    if training.folds is not None:
        write_whole(out / FOLDS_FILE, folds_file(training))
    models = [model_of(training, trained) for trained in training.rungs]
    for model in models:
        model.write(out / "models" / folder_of(model.about.rung) / model.about.model)
    if training.job.bands:
        write_watch_list(training, models, out / WATCH_LIST_FILE)
    if training.job.early_warning:
        tested = training.parts == EVALUATED
        write_whole(out / WATCHED_FILE, watched_rows(training.job.early_warning, training.table, tested))
    facts = facts_of(training, job_text, unused)
    write_facts(out, facts)
    return facts
