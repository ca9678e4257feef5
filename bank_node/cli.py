"""The bank's verbs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from protocol.errors import UsageError
from protocol.node.catalogue_verb import catalogue_verb
from protocol.node.command import TALK, app
from protocol.node.contract_verbs import Node, contract_verbs
from protocol.node.key_verb import keys

if TYPE_CHECKING:
    from bank_node.decisions.watch_list import WatchList
    from bank_node.models.folder import ModelFolder
    from bank_node.scoring.met import Met
    from bank_node.settings.config import BankConfig

verbs = app(
    "The label holder's node: align with partners, train early-warning models with them under encryption, and report "
    "what their data are worth.\n\nA run by hand: `keys`, `doctor`, `align`, `train`, `report`, `score`."
)
verbs.command()(keys)
model_verbs = app("Look into a model folder, or hand its bank's part on.")
verbs.add_typer(model_verbs, name="model")


def _install(config: Any, file: Path) -> Any:
    from bank_node.partners.contracts import contracts_of

    return contracts_of(config).install(file)


def _end(config: Any, file: Path) -> str:
    from bank_node.partners.contracts import contracts_of

    return contracts_of(config).end(file).contract


def _erase(config: Any, contract: Any) -> tuple[str, ...]:
    from bank_node.partners.contracts import erase

    return erase(config, contract)


def _settings(path: Path) -> Any:
    from bank_node.settings.config import load_config

    return load_config(path)


contract_group = contract_verbs(Node(_settings, _install, _end, _erase))
verbs.add_typer(contract_group, name="contract")
verbs.command()(catalogue_verb(_settings))

JobFile = Annotated[Path, typer.Argument(help="The job: a scenario file (docs/scenario-file.md).")]
Config = Annotated[Path, typer.Option("--config", help="This node's settings.")]
Out = Annotated[Path, typer.Option("--out", help="The run's folder: scores, models, report.")]
ModelArgument = Annotated[Path, typer.Argument(metavar="DIR", help="models/RUNG/MODEL of a finished run.")]
HERE = Path("node.toml")


@contract_group.command(name="draft")
def draft_(
    job: JobFile,
    config: Config = HERE,
    purpose: Annotated[
        list[str] | None, typer.Option("--purpose", help="en=TEXT and zh=TEXT: what the data may be used for.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long it is in force, from now.")] = 365,
    out: Annotated[Path, typer.Option("--out", help="The folder of PARTNER.contract.json.")] = Path(),
) -> dict[str, Any]:
    """Draft a contract with each partner of a job; each then completes its own."""
    from bank_node.partners.contracts import draft
    from bank_node.settings.config import load_config
    from protocol.files import folder_name
    from protocol.job import load_job
    from protocol.signing.contract import purpose_of
    from protocol.signing.kept import write_envelope

    settings, work, text = load_config(config), load_job(job), job.read_text(encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    written = {}
    for partner in work.partners:
        path = out / f"{folder_name(partner)}.contract.json"
        write_envelope(path, draft(settings, work, text, partner, purpose_of(purpose or [], work.titles), days))
        TALK.out.print(f"{path}: {partner} completes it by `partner-node contract complete`", soft_wrap=True)
        written[partner] = str(path)
    return {"drafts": written}


@verbs.command()
def doctor(
    job: Annotated[Path | None, typer.Argument(help="A job, to see whether this machine has what it needs.")] = None,
    config: Config = HERE,
    sample: Annotated[
        int,
        typer.Option(
            min=0, help="Find the overlap on N rows, under an approved JOB: partners learn N and how many match."
        ),
    ] = 0,
) -> dict[str, Any]:
    """Check table, certificates, and of every partner: settings, clock, link, how its ids are written, overlap."""
    from bank_node.doctor import examine
    from bank_node.settings.config import load_config
    from protocol.job import load_job
    from protocol.node.findings import as_dict, as_table

    findings = examine(load_config(config), load_job(job) if job else None, sample)
    TALK.show(as_table(findings))
    return as_dict(findings)


@verbs.command()
def align(
    job: JobFile,
    config: Config = HERE,
    anew: Annotated[bool, typer.Option("--anew", help="Also where an alignment is kept already.")] = False,
) -> dict[str, Any]:
    """Find the rows that the bank and each partner both hold; the alignment is kept and serves every later run."""
    from bank_node.node.connect import connected
    from bank_node.settings.config import load_config
    from protocol.job import load_job

    node_config, work = load_config(config), load_job(job)
    with TALK.progress() as progress, connected(node_config, progress) as node:
        aligned = node.align(work, anew)
    for partner, alignment in aligned.items():
        TALK.out.print(f"{partner}: {alignment.matches:,} of {len(alignment.positions):,} rows match")
    return {p: {"matches": a.matches, "rows": len(a.positions), "setting": a.setting} for p, a in aligned.items()}


@verbs.command()
def train(
    job: JobFile,
    out: Out,
    config: Config = HERE,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
) -> dict[str, Any]:
    """Train the job's ladder with its partners. An interrupted run goes on where it stopped."""
    from bank_node.node.connect import connected
    from bank_node.settings.config import load_config
    from protocol.job import load_job

    node_config, work = load_config(config), load_job(job)
    with TALK.progress() as progress, connected(node_config, progress) as node:
        node.train(work, job.read_text(encoding="utf-8"), out, TALK.say)
    return _reported(out) if report else {"out": str(out)}


class _SeveralParams(TyperCommand):
    """`--params a=1 b=2` is `--params a=1 --params b=2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further pair."""
        given: list[str] = []
        inside = False
        for argument in args:
            pair = "=" in argument and not argument.startswith("-")
            if inside and pair and given[-1] != "--params":
                given.append("--params")
            inside = argument == "--params" or (inside and pair)
            given.append(argument)
        return super().parse_args(ctx, given)


@verbs.command(name="refit", cls=_SeveralParams)
def refit_(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run of boosted trees.")],
    out: Out,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="This node's settings; if not given, RUN/nodes/BANK/node.toml or node.toml."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--params", metavar="KEY=VALUE ...", help="Parameters that replace the run's."),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Look for the other parameters: validation rows judge, else five folds.")
    ] = False,
) -> dict[str, Any]:
    """Train a run's boosted trees again on what the bank knows: no partner is asked, no budget is touched."""
    from bank_node.families.in_force import note_run
    from bank_node.record.facts import read_facts
    from bank_node.settings.config import load_config
    from bank_node.training.outcome.outcome import write_outcome
    from bank_node.training.refit import read_changes, refit
    from bank_node.training.refit_record import read_record, write_record
    from protocol.job import Job

    record = read_record(run, "bank")
    settings = load_config(config or _own_settings(run, Job.model_validate(record.job).bank))
    with TALK.progress() as progress:
        training, trials = refit(settings, record, read_changes(params or []), progress, searched=search)
    write_outcome(training, out, read_facts(run).job)
    write_record(training, out)
    note_run(settings.state, out)
    for trial in trials[:5]:
        TALK.say(f"loss {trial.loss:.5f} with {trial.changes or 'the parameters of the run'}")
    found = {"search": [vars(trial) for trial in trials], "optimistic": True} if trials else {}
    return {**_reported(out), "messages": 0, **found}


def _own_settings(run: Path, bank: str) -> Path:
    """node.toml of the bank that a run left, or the one here."""
    from protocol.files import folder_name

    left = run / "nodes" / folder_name(bank) / "node.toml"
    return left if left.is_file() else HERE


class _StrictByDefault(TyperCommand):
    """`--strict` may stand without a share, which Typer's options cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare `--strict` its share."""
        from bank_node.scoring.met import STRICT

        given = []
        for option, following in zip(args, [*args[1:], "--"], strict=True):
            bare = option == "--strict" and following.startswith("-")
            given += [option, str(STRICT)] if bare else [option]
        return super().parse_args(ctx, given)


@verbs.command(name="refresh")
def refresh_(
    config: Config = HERE,
    data: Annotated[
        Path | None, typer.Option("--data", help="Customers to be scored, as for `score`; else this node's own table.")
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="A model to be scored by; may be repeated. Else those of all runs of this node."),
    ] = None,
) -> dict[str, Any]:
    """Fetch what partners tell on the newest version of their tables, and keep it: scoring then asks nobody."""
    from bank_node.data.rows import PART, open_rows
    from bank_node.families.catalogue import load_model
    from bank_node.families.in_force import models_in_force
    from bank_node.node.connect import connected
    from bank_node.settings.config import load_config

    settings = load_config(config)
    models = [load_model(folder) for folder in model or []] or models_in_force(settings.state)
    if not models:
        raise UsageError(settings.party, "has no model to be scored by", "train one, or name it by --model")
    customers = data or settings.data.source.path
    with open_rows(settings, models[-1], customers, settings.state) as rows:
        ids = [key for first, count in rows.parts(PART) for key in rows.keys(first, count)]
    with TALK.progress() as progress, connected(settings, progress) as node:
        done = node.refresh(models, ids)
    for one in done:
        news = "a new version" if one.changed else "the same version"
        TALK.out.print(f"{one.partner}: {news}, {one.evaluated:,} new ids, bits of {one.pools} pools")
    return {"rows": len(ids), "partners": {one.partner: vars(one) for one in done}}


@verbs.command(cls=_StrictByDefault)
def score(
    model: Annotated[Path, typer.Option("--model", help="models/RUNG/MODEL of a finished run.")],
    data: Annotated[Path, typer.Option("--data", help="CSV or Parquet with ids and the bank's columns.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: id, score, parties_used; pd if calibrated.")],
    config: Config = HERE,
    absent: Annotated[
        list[str] | None,
        typer.Option("--absent", help="PARTNER=missing: do without it, by the learnt directions. PARTNER=fail: end."),
    ] = None,
    watchlist: Annotated[
        Path | None,
        typer.Option("--watchlist", help="A second file: red and amber rows by the model's bands, with reasons."),
    ] = None,
    strict: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="[SHARE]",
            help="Exit with 3, and write nothing, where rows differ from training in more than a SHARE of them.",
        ),
    ] = None,
) -> dict[str, Any]:  # fmt: skip
    """Score rows: by what `refresh` has kept, or else by aligning them; asks only the partners that the model uses."""
    from bank_node.decisions.watch_list import WatchList
    from bank_node.families.catalogue import load_model
    from bank_node.scoring.scoring import parties_absent
    from bank_node.settings.config import load_config

    settings, folder = load_config(config), load_model(model)
    _require_apart(settings.party, data, out, watchlist)
    without = parties_absent(absent or [], folder.model)
    dated = settings.data.as_of and settings.alignment == "shared"
    if dated and watchlist:
        thing = "rows whose dates are sent to the partners are scored at once"
        raise UsageError(settings.party, f"--watchlist: {thing}", "take the watch list of alignment one-sided")
    watch = WatchList(folder) if watchlist else None
    if dated:
        met = _score_at_once(settings, folder, data, out, without, strict)
    else:
        met = _score_parts(settings, folder, data, out, without, watch, strict)
    TALK.out.print(f"{met.rows:,} rows scored: {out}")
    for finding in met.findings():
        TALK.say(finding.text)
    alerts = watch.write(watchlist) if watch and watchlist else None
    if alerts is not None:
        TALK.out.print(f"{alerts:,} rows red or amber: {watchlist}")
    told = {} if alerts is None else {"watchlist": str(watchlist), "alerts": alerts}
    return {
        "out": str(out),
        "rows": met.rows,
        "absent": sorted(without),
        "met": [f.as_dict() for f in met.findings()],
        **told,
    }


def _require_apart(party: str, data: Path, *written: Path | None) -> None:
    """Raises: UsageError: a file to be written would replace the rows, or another one, or has no folder to be in."""
    taken = {data.resolve()}
    for path in filter(None, written):
        if path.resolve() in taken:
            raise UsageError(party, f"{path.name} would replace another file of this command", "name another file")
        if not path.resolve().parent.is_dir():
            raise UsageError(party, f"the folder of {path} is not there", "make it, or correct the path")
        taken.add(path.resolve())


def _score_parts(
    config: BankConfig, folder: ModelFolder, data: Path, out: Path, without: set[str], watch: WatchList | None,
    strict: float | None,
) -> Met:  # fmt: skip
    """Score a file of any length; what was met in its rows."""
    from bank_node.data.rows import open_rows
    from bank_node.node.connect import connected

    with (
        open_rows(config, folder, data, out.parent) as rows,
        TALK.progress() as progress,
        connected(config, progress) as node,
    ):
        return node.score_file(folder, rows, out, without, watch, strict)


def _score_at_once(
    config: BankConfig, folder: ModelFolder, data: Path, out: Path, without: set[str], strict: float | None
) -> Met:
    """Score rows whose dates are sent to the partners, which takes them all in memory; what was met in them."""
    from bank_node.node.connect import connected
    from bank_node.scoring.scoring import read_rows

    table = read_rows(config, folder, data)
    with TALK.progress() as progress, connected(config, progress) as node:
        scored = node.score(folder, table, without)
    assert scored.met is not None
    if strict is not None:
        scored.met.require_within(config.party, strict)
    scored.write(out)
    return scored.met


@model_verbs.command()
def show(
    folder: ModelArgument,
    trees: Annotated[int, typer.Option(help="How many trees to draw, from the first.", min=0)] = 1,
) -> dict[str, Any]:
    """What the model is, what each party brings to it, and its first trees."""
    from bank_node.families.catalogue import family_of, load_model

    model = load_model(folder)
    family = family_of(model.about.kind)
    for part in family.shown(model, trees):
        TALK.out.print(part)
    return family.summary(model)


@model_verbs.command()
def export(
    folder: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write; .pmml: of a scorecard, as PMML.")],
    config: Config = HERE,
) -> dict[str, Any]:
    """Write the bank's part as one file that other software can score: JSON (docs/model-folder.md), or PMML."""
    from bank_node.families.catalogue import family_of, load_model
    from bank_node.families.export import exported_text
    from bank_node.partners.contracts import require_contracts
    from bank_node.settings.config import load_config
    from protocol.files import write_whole

    model = load_model(folder)
    if config.is_file():  # a model folder may also be exported where no node is
        require_contracts(load_config(config), model.about.contract)
    write_whole(out, family_of(model.about.kind).pmml(model) if out.suffix == ".pmml" else exported_text(model), 0o644)
    TALK.out.print(str(out), soft_wrap=True)
    return {"out": str(out)}


@verbs.command(name="recover")
def recover_(
    config: Config = HERE,
    receipt: Annotated[
        list[Path] | None, typer.Option(help="A receipt of a partner, which says what was asked; may be repeated.")
    ] = None,
) -> dict[str, Any]:
    """Resume work after the state folder was lost or restored from a copy: close all runs, and erase their keys."""
    from bank_node.settings.config import load_config
    from bank_node.training.recovery import recover

    found = recover(load_config(config), receipt or [])
    TALK.out.print(f"{found['runs_closed']} runs are closed, and their keys are erased")
    for partner, count in found["forgotten"].items():
        TALK.out.print(f"{partner} received {count} messages that this node does not remember")
    return found


@verbs.command(name="report")
def report_(out: Annotated[Path, typer.Argument(help="The folder of a finished training.")]) -> dict[str, Any]:
    """Write report.json and report.html anew from a run's scores."""
    return _reported(out)


def _reported(out: Path) -> dict[str, Any]:
    from bank_node.report.headline import headline_table
    from bank_node.report.report import write_report

    made = write_report(out)
    TALK.out.print(headline_table(made))
    TALK.out.print(f"{out / 'report.html'}")
    return {"report": str(out / "report.json"), "headline": made.headline.model_dump(by_alias=True)}
