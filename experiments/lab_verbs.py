"""The laboratory's verbs that run one scenario many times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from experiments.studies.sweep.knobs import KNOBS
from protocol.errors import IntegrityError, UsageError
from protocol.node.command import TALK

if TYPE_CHECKING:
    from bank_node.metrics.intervals import Uplift
    from experiments.studies.sweep.document import SweepResult
    from experiments.studies.sweep.frontier import Frontier
    from experiments.studies.value.document import Value

Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder; what is done stays done.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace what is in the folder.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Go on, and run those that have failed again.")]
Workers = Annotated[int, typer.Option(min=0, help="Runs at a time; 0: one a core.")]
Ray = Annotated[str, typer.Option("--ray", help="Address of a Ray cluster to spread the runs over, or local.")]


def sweep_(
    file: Annotated[Path, typer.Argument(help="A sweep file (docs/experiments.md).")],
    out: Annotated[Path, typer.Option("--out", help="The sweep's folder.")],
    resume: Resume = False,
    retry_failed: Retry = False,
    fresh: Fresh = False,
    workers: Workers = 0,
    ray: Ray = "",
) -> dict[str, Any]:
    """Run a scenario under many settings, and put the results side by side."""
    from experiments.studies.sweep.plan import load_sweep
    from experiments.studies.sweep.sweep import Manner, sweep

    result = sweep(load_sweep(file), out, Manner(resume, fresh, retry_failed, workers, ray))
    TALK.out.print(_told(result), highlight=False)
    return {
        "sweep": str(out / "sweep.json"),
        "runs": len(result.runs),
        "done": result.count("done"),
        "failed": result.count("failed"),
        "run_twice": result.run_twice,
        "exit_code": next((run.error["exit_code"] for run in result.runs if run.error), 0),
    }


def frontier_(
    scenario: Annotated[Path, typer.Argument(help="A scenario file (docs/scenario-file.md).")],
    out: Annotated[Path, typer.Option("--out", help="The folder of runs and results.")],
    knob: Annotated[list[str] | None, typer.Option(help=f"Only these of: {', '.join(KNOBS)}.")] = None,
    trees: Annotated[int, typer.Option(min=0, help="Trees, in place of the scenario's.")] = 0,
    engine: Annotated[str, typer.Option(help="blind or plaintext; both grow the same models.")] = "plaintext",
    resume: Resume = False,
    fresh: Fresh = False,
    workers: Workers = 0,
    ray: Ray = "",
) -> dict[str, Any]:
    """How much a bank is told for how much gain: uplift against information share, one knob turned at a time."""
    from experiments.studies.sweep.frontier import frontier
    from experiments.studies.sweep.sweep import Manner

    found = frontier(scenario, out, knob or [], trees, engine, Manner(resume, fresh, False, workers, ray))
    TALK.show(_frontier_table(found))
    return {
        "frontier": str(out / "frontier.json"),
        "runs": len(found.result.runs),
        "done": found.result.count("done"),
        "points": len(found.points),
        "exit_code": next((run.error["exit_code"] for run in found.result.runs if run.error), 0),
    }


def _frontier_table(found: Frontier) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for head in ("knob", "value", "uplift of AUC", "information share"):
        table.add_column(head, justify="left" if head == "knob" else "right")
    for point in found.points:
        table.add_row(point.knob, point.value, f"{point.uplift:+.4f}", f"{point.information_share:.3f}")
    return table


def index_(
    folder: Annotated[Path, typer.Argument(help="A folder with experiments in folders below it.")],
) -> dict[str, Any]:
    """Write index.html into a folder: every run, sweep and valuation below it, with links to the pages."""
    from experiments.pages.index import index_page
    from protocol.files import write_whole

    if not folder.is_dir():
        raise UsageError("index", f"{folder} is no folder", "give the folder that holds the experiments")
    if (folder / "sweep.json").is_file():
        raise UsageError("index", f"{folder.name} is a sweep, and has its own index", "give the folder above it")
    text, count = index_page(folder)
    write_whole(folder / "index.html", text.encode(), 0o644)
    TALK.out.print(str(folder / "index.html"), soft_wrap=True)
    return {"index": str(folder / "index.html"), "experiments": count}


def value_(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished `fedwarn run`.")],
    families: Annotated[bool, typer.Option(help="Also value groups of columns: a training each.")] = True,
    sample: Annotated[int, typer.Option(min=0, help="Orders of joining to sample; 0: all, up to 6 partners.")] = 0,
    price: Annotated[list[str] | None, typer.Option("--price", help="PARTNER=MONEY, beside the scenario's.")] = None,
) -> dict[str, Any]:
    """What each partner's data are worth: its Shapley value over all coalitions, and that against its price."""
    from experiments.studies.value.value import value

    with TALK.progress() as progress:
        found = value(folder, _prices(price or []), sample, families, progress)
    TALK.show(_value_table(found))
    TALK.out.print(str(folder / "value" / "value.json"), soft_wrap=True)
    shapley = {
        partner: {metric: change.model_dump() for metric, change in own.shapley.items()}
        for partner, own in found.partners.items()
    }
    total = {metric: change.value for metric, change in found.total.items()}
    return {"method": found.method, "trained": found.trained, "total": total, "shapley": shapley,
            "value": str(folder / "value" / "value.json")}  # fmt: skip


def _prices(given: list[str]) -> dict[str, float]:
    found = {}
    for text in given:
        partner, _, amount = text.rpartition("=")
        try:
            found[partner] = float(amount)
        except ValueError:
            raise UsageError("--price", f"{text!r} is no price", "write PARTNER=MONEY") from None
    return found


def _value_table(found: Value) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for head in ("partner", "AUC", "KS", f"money {found.stakes.currency}".strip()):
        table.add_column(head, justify="left" if head == "partner" else "right")
    for partner, own in {**found.partners, "all together": None}.items():
        changes = own.shapley if own else found.total
        table.add_row(partner, *(_worded(metric, changes[metric]) for metric in ("auc", "ks", "money")))
    return table


def _worded(metric: str, change: Uplift) -> Text:
    from bank_node.report.headline import dimmed

    form = "+,.4g" if metric == "money" else "+.4f"
    value, low, high = (format(number, form).replace("-", "−") for number in (change.value, change.low, change.high))
    return dimmed(value, f"{low} to {high}")


def _told(result: SweepResult) -> str:
    done, failed = result.count("done"), result.count("failed")
    return f"{done} of {len(result.runs)} runs done" + (f", {failed} failed (--retry-failed)" if failed else "")


def attack_(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of a finished `fedwarn run`; without, a made-up table.")
    ] = None,
) -> dict[str, Any]:
    """Lie to both sides at every kind of message, and say what each lie gains, its bound, and a control."""
    from experiments.attacks.yields import as_values, yield_table

    rows = yield_table(run.resolve() if run else None)
    told = Table("lies", "message", "attack", "unit", "gained", "bound", "guard off", box=SIMPLE_HEAD)
    for row in rows:
        figures = (f"{value:g}" for value in (round(row.gained, 3), row.bound, round(row.control, 3)))
        told.add_row(row.side, row.kind, row.attack, row.unit, *figures)
    TALK.out.print(told, highlight=False)
    failed = [row for row in rows if not row.holds]
    return {"rows": as_values(rows), "exit_code": IntegrityError.exit_code if failed else 0}


def rehearse_(
    scenario: Annotated[Path, typer.Argument(help="A scenario file (docs/scenario-file.md).")],
    out: Annotated[Path, typer.Option("--out", help="The rehearsal's folder.")],
    months: Annotated[int, typer.Option(min=1, max=24, help="Months to play, after the month of signing.")] = 12,
    fresh: Fresh = False,
) -> dict[str, Any]:
    """Play a contract year before anybody signs: tables change, partners publish, the bank refreshes and scores."""
    from experiments.studies.rehearse.rehearse import rehearse

    with TALK.progress() as progress:
        found = rehearse(scenario, months, out, fresh, progress)
    for month in found.months:
        auc = "" if month.auc is None else f", AUC of newcomers {month.auc:.4f}"
        told = ", ".join(f"{p} {t.information_share:.2f}" for p, t in month.told.items())
        TALK.out.print(
            f"month {month.month:2}: {month.known:,} customers{auc}, {month.alerts:,} alerts, told {told}, "
            f"{len(month.refused)} refused, {month.seconds:.1f} s",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    for line in (refusal for month in found.months for refusal in month.refused):
        TALK.say(f"refused: {line}")
    TALK.out.print(str(out / "rehearsal.html"), soft_wrap=True)
    return {"rehearsal": str(out / "rehearsal.json"), **found.model_dump()}
