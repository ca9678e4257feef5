"""Declaring a run, and each of its models, to the partners before the first rung of it."""

from bank_node.family.training import Training
from protocol.algorithms.boosting import Opened, Opening
from protocol.algorithms.runs import RunOpened, RunOpening, subject_of
from protocol.errors import IntegrityError
from protocol.job.workload import workload
from protocol.role import Script, ask


def open_run(training: Training, nonce: bytes) -> Script[None]:
    """Let every partner give the run a number. nonce: of this run, the same when it is resumed."""
    asked = {p: RunOpening(job=training.job.sha256, nonce=nonce) for p in training.alignments}
    opened = yield from ask(asked, RunOpened)
    for partner, reply in opened.items():
        _require_job(partner, reply, training.job.sha256)
    training.runs = {partner: reply.run for partner, reply in opened.items()}
    training.subject = subject_of(training.job.sha256, nonce)


def _require_job(partner: str, opened: RunOpened, job: str) -> None:
    """Raises: IntegrityError: the run is of another job."""
    if opened.job != job:
        raise IntegrityError(partner, "opened a run of another job than it was asked for", "run the job again")


def open_model(training: Training, number: int) -> Script[dict[str, Opened]]:
    """Declare a model of the job, or its bin tables, to every partner: rows that take part, and the sums needed."""
    messages = {}
    for partner in training.alignments:
        plan = workload(training.job, partner).models[number]
        messages[partner] = Opening(
            job=training.job.sha256,
            run=training.runs[partner],
            layout=training.views[partner, plan.cutting].layout,
            rows=training.fitted_rows(partner),
            equations=plan.equations,
            equations_a_tree=plan.equations_a_tree,
        )
    return (yield from ask(messages, Opened))
