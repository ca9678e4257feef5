"""`fedwarn run`: a scenario from its table to its report."""

import shutil
from collections.abc import Callable
from pathlib import Path

from bank_node.evaluation.facts import Measured, RunFacts, read_facts, write_facts
from bank_node.evaluation.report import write_report
from bank_node.job import Job, load_job, names_budgets
from experiments.deal import Dealt, deal
from experiments.launch import Peaks, train_between_processes, train_in_process
from experiments.nodes import Nodes, write_nodes
from protocol.errors import UsageError
from protocol.files import own_folder
from protocol.ledger import export_receipt

Progress = Callable[[str, int, int], None]


def run(
    scenario: Path, out: Path, *, fresh: bool, progress: Progress, overrides: dict[str, str] | None = None
) -> dict[str, object]:
    """Deal the table out, start the nodes, train the ladder, write the report; the report.

    overrides: values of [run] from the command line. Raises: FedwarnError of the first node that failed.
    """
    job = load_job(scenario)
    job = job.model_copy(update={"run": job.run.model_copy(update=overrides or {})})
    prepare(out, fresh)
    progress("deal", 0, 1)
    dealt = deal(job, out)
    nodes = write_nodes(job, dealt, enforce_equations=job.data.source is None or names_budgets(scenario))
    progress("deal", 1, 1)
    text = scenario.read_text(encoding="utf-8")
    write_job(out, job, text)
    train = train_in_process if job.run.transport == "in-process" else train_between_processes
    peaks = train(job, nodes, out, progress)
    for name, config in nodes.configs.items():
        export_receipt(
            config.parent / "state" / "ledger.sqlite",
            own_folder(out / "receipts") / f"{config.parent.name}.jsonl",
            name,
        )
    write_facts(out, completed(read_facts(out), dealt, peaks, text))
    progress("report", 0, 1)
    report = write_report(out)
    progress("report", 1, 1)
    return report


def prepare(out: Path, fresh: bool) -> None:
    """An empty folder for a run. Raises: UsageError: there is a run in it, and it is not to be replaced."""
    if fresh and (out / "nodes").exists():
        for part in ("nodes", "models", "receipts", "logs"):
            shutil.rmtree(out / part, ignore_errors=True)
        for name in ("scores.csv", "facts.json", "report.json", "report.html"):
            (out / name).unlink(missing_ok=True)
    if (out / "nodes").exists():
        raise UsageError("fedwarn", f"the folder {out.name} holds a run", "name another folder, or give --fresh")
    out.mkdir(parents=True, exist_ok=True)


def completed(facts: RunFacts, dealt: Dealt, peaks: Peaks, text: str) -> RunFacts:
    """The facts with what only the one who dealt the table knows."""
    parties = {
        name: party.model_copy(
            update={
                "sentinels": {
                    **{c: n for c, n in dealt.sentinels.items() if c in (dealt.parties[name].spec.columns or ())},
                    **party.sentinels,
                }
            }
        )
        for name, party in facts.data.parties.items()
    }
    data = facts.data.model_copy(
        update={"parties": parties, "unused": list(dealt.unused), "unverified": list(dealt.unverified)}
    )
    measured: Measured = facts.measured.model_copy(update={"peak_rss_mib": {**facts.measured.peak_rss_mib, **peaks}})
    return facts.model_copy(update={"data": data, "measured": measured, "job": text})
