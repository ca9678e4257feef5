"""The laboratory's verbs."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments import lab_verbs
from experiments.benchmarks import BENCHMARKS
from protocol.errors import UsageError
from protocol.node.command import TALK, app

verbs = app("Simulate federated training, and report what a partner's data are worth.")
new = app("Begin something: a scenario for a table, or the parties' node folders of a scenario.")
verbs.add_typer(new, name="new")
contract = app("Contracts of a demonstration, in which one hand holds all parties.")
verbs.add_typer(contract, name="contract")

PARTNER_ENV = "Folder of the partners' environment (`make env`); none: this one; auto: .venv-partner if there is one."

Scenario = Annotated[Path, typer.Argument(help="A scenario file (docs/scenario-file.md).")]


@verbs.command()
def run(
    scenario: Scenario,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    engine: Annotated[str, typer.Option(help="blind or plaintext, in place of the scenario's.")] = "",
    transport: Annotated[str, typer.Option(help="processes, in-process or flower, in place of the scenario's.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the run that is in the folder.")] = False,
    partner_env: Annotated[str, typer.Option(help=PARTNER_ENV)] = "auto",
) -> dict[str, Any]:
    """Deal the scenario's table out, start a node a party, train the ladder, and write the uplift report.

    The same line goes on with a run that was not finished.
    """
    from bank_node.report.headline import headline_table
    from experiments.run.run import run as run_scenario

    chosen = {name: value for name, value in (("engine", engine), ("transport", transport)) if value}
    with TALK.progress() as progress:
        report = run_scenario(scenario, out, fresh=fresh, progress=progress, overrides=chosen, partner_env=partner_env)
    for warning in report.warnings:
        TALK.say(f"warning: {warning.en}")
    TALK.out.print(headline_table(report))
    TALK.out.print(str(out / "report.html"), soft_wrap=True)
    return {"report": str(out / "report.json"), "headline": report.headline.model_dump(by_alias=True)}


@new.command()
def nodes(
    scenario: Scenario,
    out: Annotated[Path, typer.Option("--out", help="Where the parties' folders go.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace what is in the folder.")] = False,
) -> dict[str, Any]:
    """Deal a scenario's table out and write every party's node folder, to run its nodes by hand."""
    from experiments.run.prepare import prepare, write_demo
    from experiments.run.scenario import concrete
    from protocol.job import load_job

    scenario = concrete(scenario)
    job = load_job(scenario)
    prepare(out, fresh)
    made = write_demo(job, scenario, out)
    for party, config in made.configs.items():
        TALK.out.print(f"{party}: {config}", soft_wrap=True)
    for party in job.partners:
        done = f"partner-node approve {out / 'job.toml'} --config {made.configs[party]}"
        TALK.out.print(f"{party} has approved the job, as by: {done}", soft_wrap=True)
    return {"job": str(out / "job.toml"), "nodes": {party: str(config) for party, config in made.configs.items()}}


@contract.command()
def draft(
    scenario: Scenario,
    out: Annotated[Path, typer.Option("--out", help="Where the parties' folders, keys and contracts go.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace what is in the folder.")] = False,
) -> dict[str, Any]:
    """Write every party's node folder, and take both sides' steps to a signed contract with each partner."""
    from experiments.run.prepare import prepare, write_demo
    from experiments.run.scenario import concrete
    from experiments.run.signing import sign_demonstration
    from protocol.job import load_job

    scenario = concrete(scenario)
    job = load_job(scenario)
    prepare(out, fresh)
    made = write_demo(job, scenario, out)
    files = sign_demonstration(job, out / "job.toml", made, out)
    for partner, path in files.items():
        TALK.out.print(f"{partner}: {path}, signed by both and installed", soft_wrap=True)
    return {"contracts": {p: str(path) for p, path in files.items()}, "job": str(out / "job.toml")}


@new.command()
def scenario(
    table: Annotated[Path, typer.Option("--from", help="A CSV or Parquet file: ids, a label of 0 and 1, columns.")],
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; TABLE.toml if not given.")] = None,
) -> dict[str, Any]:
    """Write a commented scenario for a table, guessed from its columns, for you to edit; it runs as it is."""
    from experiments.data.new_scenario import new_scenario

    path = out or Path(f"{table.name.split('.')[0]}.toml")
    found = new_scenario(table, path)
    parties = {party: len(columns) for party, columns in found.parties.items()}
    TALK.out.print(f"{path}: label {found.label!r}, columns by party {parties}", soft_wrap=True)
    return {"scenario": str(path), "label": found.label, "id": list(found.id), "parties": parties}


@verbs.command()
def verify(folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")]) -> dict[str, Any]:
    """Recompute every figure of a run from its scores, and hold the receipts of both sides together (exit 7)."""
    from experiments.verify.verify import receipts_held, require_verified

    require_verified(folder)
    held = receipts_held(folder)
    TALK.out.print(f"every figure follows from scores.csv; {held}")
    return {"verified": True, "receipts": {"agree": [list(pair) for pair in held.pairs], "lacking": list(held.lacking)}}


@verbs.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    page: Annotated[Path | None, typer.Option(help="Also write this HTML page.")] = None,
) -> dict[str, Any]:
    """Put runs side by side."""
    from bank_node.report.report import read_report
    from experiments.pages.render import compare_page
    from experiments.results.compare import compare as compare_runs
    from protocol.files import write_whole

    table, values = compare_runs(folders)
    if page:
        write_whole(page, compare_page({str(f): read_report(f) for f in folders}).encode(), 0o644)
    TALK.out.print(table)
    return values


@verbs.command()
def check(
    what: Annotated[Literal["woe", "glm"], typer.Argument(help="What is recomputed.")],
    folder: Annotated[Path, typer.Argument(help="The folder of a finished `fedwarn run`.")],
) -> dict[str, Any]:
    """Hold what was computed under encryption against the plain computation over all parties' tables."""
    from experiments.verify.check import CHECKS

    with TALK.progress() as progress:
        found = CHECKS[what](folder, progress)
    for key, value in found.items():
        TALK.out.print(f"{key}: {value:g}" if isinstance(value, float) else f"{key}: {value}")
    return found


@verbs.command()
def benchmark(
    what: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHMARKS)}.")],
    rows: Annotated[int | None, typer.Option(help="Rows of the table.")] = None,
    partner_columns: Annotated[int | None, typer.Option(help="Columns of all partners together.")] = None,
    bins: Annotated[int | None, typer.Option(help="Bins a column.")] = None,
    trees: Annotated[int | None, typer.Option(help="Trees.")] = None,
) -> dict[str, Any]:
    """Measure a ratio in one run: ours over a stated reference."""
    if what not in BENCHMARKS:
        raise UsageError("benchmark", f"there is none called {what!r}", f"choose one of {', '.join(BENCHMARKS)}")
    given = {"rows": rows, "partner_columns": partner_columns, "bins": bins, "trees": trees}
    work = BENCHMARKS[what]
    unknown = [name for name, value in given.items() if value is not None and name not in work.settings]
    if unknown:
        raise UsageError("benchmark", f"{what} has no {unknown[0]}", f"it takes {', '.join(work.settings)}")
    result = work(**{name: value for name, value in given.items() if value is not None})
    for key, value in result.items():
        for line in value if isinstance(value, list) else [value]:
            TALK.out.print(f"{key}: {line}")
    return result


@verbs.command()
def warm() -> dict[str, Any]:
    """Compile the kernels, so that the first run does not wait for them."""
    from experiments.laboratory.warm import warm_kernels

    warm_kernels()
    return {"warm": True}


verbs.command(name="sweep")(lab_verbs.sweep_)
verbs.command(name="frontier")(lab_verbs.frontier_)
verbs.command(name="index")(lab_verbs.index_)
verbs.command(name="value")(lab_verbs.value_)
verbs.command(name="attack")(lab_verbs.attack_)
verbs.command(name="rehearse")(lab_verbs.rehearse_)
