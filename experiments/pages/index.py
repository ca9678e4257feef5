"""The index of a folder of experiments: what each is, and what it has found, with links to the pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bank_node.record.facts import Text
from bank_node.record.messages import say
from bank_node.report.document import REPORT_FILE, Report, Verdict
from bank_node.report.report import PAGE_FILE, read_report
from bank_node.report.wording import signed
from experiments.pages.render import fullest, render
from experiments.studies.sweep.document import SWEEP_FILE, read_sweep
from experiments.studies.value.document import VALUE_FILE, read_value
from protocol.errors import UsageError
from protocol.node.command import TALK


@dataclass(frozen=True)
class Entry:
    """One experiment. where: its folder below the index. page: to link to, "" if it has none.

    verdict: on a run's headline rung, "" where there is none; it holds the placebo's word too.
    """

    kind: Literal["run", "sweep", "frontier", "value"]
    where: str
    page: str
    title: Text
    synthetic: bool
    result: Text
    verdict: str = ""


def index_page(folder: Path) -> tuple[str, int]:
    """The page, and how many experiments it lists."""
    entries = list(_below(folder, folder))
    title = Text(en=folder.resolve().name, zh=folder.resolve().name)
    return render("index.html.j2", kicker="lab_index", title=title, synthetic=False, entries=entries), len(entries)


def _below(folder: Path, root: Path) -> Iterator[Entry]:
    """In order of name; what is inside a run or a sweep belongs to it."""
    where = str(folder.relative_to(root))
    if (folder / SWEEP_FILE).is_file():
        yield _sweep(folder, root, where)
    elif (folder / REPORT_FILE).is_file():
        try:
            yield from _run(folder, root, where)
        except UsageError as of_another_version:
            TALK.say(f"{where} is left out: {of_another_version}")
    else:
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            yield from _below(below, root)


def _run(folder: Path, root: Path, where: str) -> Iterator[Entry]:
    report = read_report(folder)
    page = _page(folder / PAGE_FILE, root)
    judged = _verdict(report)
    told = judged.sentence if judged else report.headline.sentence
    yield Entry("run", where, page, report.title, report.synthetic, told, judged.verdict if judged else "")
    if (folder / "value" / VALUE_FILE).is_file():
        yield _value(folder, root, where)


def _verdict(report: Report) -> Verdict | None:
    """On the headline's rung: one word on one metric, where the headline's own metric may say something else."""
    main = report.headline.rung, report.headline.model
    return next((v for v in report.verdicts if (v.rung, v.model) == main), None)


def _sweep(folder: Path, root: Path, where: str) -> Entry:
    result = read_sweep(folder)
    title = Text(en=result.title.en, zh=result.title.zh)
    told = say("lab_runs_done", done=result.count("done"), runs=len(result.runs))
    done = [run for run in result.runs if run.state == "done" and run.rungs]
    found = [rung.uplift["auc"].value for rung in map(fullest, done) if "auc" in rung.uplift]
    if found:
        mean, low, high = (signed("auc", value) for value in (sum(found) / len(found), min(found), max(found)))
        told = say("lab_runs_mean", told=told, mean=mean, low=low, high=high)
    kind: Literal["sweep", "frontier"] = "frontier" if (folder / "frontier.json").is_file() else "sweep"
    return Entry(kind, where, _page(folder / "index.html", root), title, result.synthetic, told)


def _value(folder: Path, root: Path, where: str) -> Entry:
    found = read_value(folder)
    told = say("lab_partners_sum", auc=signed("auc", found.total["auc"].value), partners=", ".join(found.partners))
    page = _page(folder / "value" / "value.html", root)
    return Entry("value", f"{where}/value", page, found.title, found.synthetic, told)


def _page(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_file() else ""
