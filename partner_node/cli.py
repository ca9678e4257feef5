"""The partner's verbs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from partner_node.encoders.graph_verbs import encode_graph_
from partner_node.encoders.verbs import encode_
from partner_node.policy.defaults import DAYS, USES
from protocol.errors import IntegrityError, UsageError
from protocol.node.catalogue_verb import catalogue_verb
from protocol.node.command import TALK, app
from protocol.node.contract_verbs import Node, contract_verbs
from protocol.node.key_verb import keys

if TYPE_CHECKING:
    from protocol.ledger import Disclosed

verbs = app(
    "The feature holder's node: answers one bank within its contract, and keeps a ledger of all that left.\n\n"
    "To begin: `keys`, then `serve`."
)
verbs.command()(keys)
verbs.command(name="encode")(encode_)
verbs.command(name="encode-graph")(encode_graph_)
ledger = app("What left this node and what reached it.")
verbs.add_typer(ledger, name="ledger")


def _install(config: Any, file: Path) -> Any:
    from partner_node.policy.contracts import install

    return install(config, file)


def _end(config: Any, file: Path) -> str:
    from partner_node.policy.contracts import end

    return end(config, file)


def _erase(config: Any, contract: Any) -> tuple[str, ...]:
    from partner_node.policy.contracts import erase

    return erase(config, contract)


def _settings(path: Path) -> Any:
    from partner_node.config import load_config

    return load_config(path)


contract_group = contract_verbs(Node(_settings, _install, _end, _erase))
verbs.add_typer(contract_group, name="contract")
verbs.command()(catalogue_verb(_settings))

Config = Annotated[Path, typer.Option("--config", help="This node's settings.")]
HERE = Path("node.toml")


@verbs.command()
def serve(config: Config = HERE) -> dict[str, Any]:
    """Read the table and answer the bank until stopped (Ctrl-C or SIGTERM)."""
    from partner_node.config import load_config
    from partner_node.node.service import PartnerService
    from protocol.identity import load_identity
    from protocol.transport.over_grpc import serve_grpc

    settings = load_config(config)
    identity = load_identity(settings.identity, settings.party, demo=settings.demo)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with PartnerService(settings) as service:
        server = serve_grpc(
            settings.listen, identity, service.serve, peers=[settings.bank], bound=service.most_bytes,
            unread=service.unread, health=settings.health,
        )  # fmt: skip
        for line in service.reading:
            TALK.say(line)
        TALK.say(f"{settings.party} answers {settings.bank} on {settings.listen}")
        stopped.wait()
        server.stop(grace_s=2.0)
    return {"stopped": settings.party}


@verbs.command()
def doctor(
    job: Annotated[Path | None, typer.Argument(help="A job, to see whether this machine has what it needs.")] = None,
    config: Config = HERE,
) -> dict[str, Any]:
    """Check settings, table and certificate, and what the bank's doctor has told of its clock and ids."""
    from partner_node.config import load_config
    from partner_node.doctor import examine
    from partner_node.policy.approving import job_with
    from protocol.node.findings import as_dict, as_table

    settings = load_config(config)
    findings = examine(settings, job_with(settings.party, job) if job else None)
    TALK.show(as_table(findings))
    return as_dict(findings)


@verbs.command(name="preview")
def preview_(
    job: Annotated[Path, typer.Argument(help="The job's file, as the bank gave it.")],
    config: Config = HERE,
    bank_rows: Annotated[int | None, typer.Option(help="Rows of the bank's table; else of the last alignment.")] = None,
) -> dict[str, Any]:
    """All that would leave this node for a job, and what is left of its budgets after it; nothing is sent."""
    from partner_node.config import load_config
    from partner_node.policy.approving import job_with
    from partner_node.preview.page import sentences, tables
    from partner_node.preview.preview import as_dict as as_dict_of_preview
    from partner_node.preview.preview import preview

    settings = load_config(config)
    found = preview(settings, job_with(settings.party, job), bank_rows)
    for table in tables(found):
        TALK.show(table)
    _say(sentences(found))
    return as_dict_of_preview(found)


@verbs.command()
def approve(
    job: Annotated[str, typer.Argument(help="The job's file; its SHA-256 with --withdraw.")] = "",
    config: Config = HERE,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long the approval is in force.")] = DAYS,
    uses: Annotated[int, typer.Option(min=1, help="How many runs of the job it admits.")] = USES,
    list_: Annotated[bool, typer.Option("--list", help="Show jobs approved, expired, withdrawn, and held.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the approval back.")] = False,
) -> dict[str, Any]:
    """Approve a job by its file: its columns, bins, models and clauses; `preview` says first what would leave."""
    from partner_node.config import load_config
    from partner_node.policy.approving import approve as approve_job
    from partner_node.policy.approving import as_row, headline, job_with, listed_lines, open_approvals
    from partner_node.policy.approving import withdraw as withdraw_job

    settings = load_config(config)
    if bool(job) == list_:
        raise UsageError(settings.party, "approve needs a job or --list", "give one of the two")
    if withdraw:
        _say([f"withdrew the approval of job {withdraw_job(settings, job)}"])
    elif job:
        _say(headline(approve_job(settings, job_with(settings.party, Path(job)), days, uses)))
    with closing(open_approvals(settings)) as approvals:
        known = approvals.all()
    if list_:
        _say(listed_lines(known))
    return {"approve": settings.policy.approve, "jobs": [as_row(one) for one in known]}


def _say(lines: Iterable[str]) -> None:
    """Print lines on stdout as they are: a terminal wraps them, and a pipe gets them whole."""
    for line in lines:
        TALK.out.print(line, soft_wrap=True, highlight=False)


@verbs.command()
def publish(
    file: Annotated[Path, typer.Argument(help="The table as it is from now on: CSV, Parquet or xlsx.")],
    config: Config = HERE,
) -> dict[str, Any]:
    """Make a file the new version of the table: checked against the last one; a running node takes it up by itself."""
    from partner_node.config import load_config
    from partner_node.node.publishing import publish as publish_file

    settings = load_config(config)
    made = publish_file(settings, file)
    _say([f"{file.name} is version {made.number}: {made.rows:,} rows, {made.changed:,} changed or new or gone"])
    return vars(made)


@contract_group.command()
def clauses(config: Config = HERE) -> dict[str, Any]:
    """The clauses that this node enforces, whatever a bank asks: of the contract in force, or of its settings."""
    from partner_node.config import load_config
    from partner_node.policy.contracts import contracts_of

    settings = load_config(config)
    found = contracts_of(settings).clauses(settings.bank, settings.contract).clauses
    for clause, value in found.items():
        TALK.out.print(f"{clause} = {str(value).lower()}")
    return dict(found)


@contract_group.command(name="complete")
def complete_(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help="The bank's draft; it is completed in place.")],
    config: Config = HERE,
) -> dict[str, Any]:
    """Fill in what only this partner knows: its columns, and the clauses that it proposes; both then sign."""
    from partner_node.config import load_config
    from partner_node.policy.contracts import complete, job_of
    from partner_node.preview.proposal import propose
    from protocol.signing.contract import read_contract
    from protocol.signing.kept import write_envelope

    settings, opened = load_config(config), read_contract(draft)
    found = propose(settings, job_of(opened.contract, settings.party))
    write_envelope(draft, complete(settings, opened, found.clauses, found.words, found.readable))
    _say([found.words.en, f"read it by `partner-node contract show {draft}`, then sign it"])
    return {"contract": str(draft), "words": found.words.en, "clauses": found.clauses.clauses}


@verbs.command(name="recover")
def recover_(
    config: Config = HERE,
    receipt: Annotated[
        list[Path] | None, typer.Option(help="A receipt of the bank, or an own one; may be repeated.")
    ] = None,
    all_spent: Annotated[bool, typer.Option("--all-spent", help="Count all that was ever approved as spent.")] = False,
) -> dict[str, Any]:
    """Resume work after the state folder was lost or restored from a copy: what was answered since counts as spent."""
    from partner_node.config import load_config
    from partner_node.policy.approving import open_approvals
    from partner_node.policy.opening import open_budgets
    from partner_node.policy.recovery import recover, recovered_lines

    settings = load_config(config)
    with closing(open_budgets(settings)) as budgets, closing(open_approvals(settings)) as approvals:
        found = recover(settings, budgets, approvals, receipt or [], all_spent)
    _say(recovered_lines(found))
    return found


@verbs.command()
def warm() -> dict[str, Any]:
    """Compile the kernels, so that the first query does not wait for them."""
    from protocol.node.warm import warm_kernels

    warm_kernels()
    return {"warm": True}


@ledger.command()
def show(config: Config = HERE) -> dict[str, Any]:
    """What was sent and received, added up by kind."""
    from partner_node.config import load_config
    from protocol.ledger import read_ledger

    reader = read_ledger(load_config(config).state / "ledger.sqlite")
    rows = reader.summary()
    TALK.show(_table(rows))
    return {"ledger": rows}


@ledger.command()
def verify(config: Config = HERE) -> dict[str, Any]:
    """Whether every entry still is what it was; the first that is not is named (exit 7)."""
    from partner_node.config import load_config
    from protocol.ledger import read_ledger

    settings = load_config(config)
    bad = read_ledger(settings.state / "ledger.sqlite").verify()
    if bad is not None:
        raise IntegrityError(
            settings.party, f"entry {bad} of its ledger was changed, taken out or moved", "keep the file as evidence"
        )
    TALK.out.print("every entry is what it was")
    return {"first_bad": None}


@ledger.command()
def receipt(out: Annotated[Path, typer.Argument(help="The file to write.")], config: Config = HERE) -> dict[str, Any]:
    """Write the ledger as a receipt, for the bank to reconcile with its own."""
    from partner_node.config import load_config
    from protocol.ledger import export_receipt

    settings = load_config(config)
    export_receipt(settings.state / "ledger.sqlite", out, settings.party)
    return {"receipt": str(out)}


@ledger.command()
def reconcile(
    ours: Annotated[Path, typer.Argument(help="One receipt.")],
    theirs: Annotated[Path, typer.Argument(help="The other party's.")],
) -> dict[str, Any]:
    """Whether two receipts tell the same story; the first entry on which they differ is named (exit 7)."""
    from protocol.ledger.receipts import reconcile as compare_receipts

    mismatch = compare_receipts(ours, theirs)
    if mismatch:
        raise mismatch.error()
    TALK.out.print("both receipts tell the same story")
    return {"mismatch": None}


def _table(rows: list[Disclosed]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in ("kind", "encrypted", "messages", "bytes"):
        number = name in ("messages", "bytes")
        table.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        what = f"{row['kind']}, {row['sender']} to {row['receiver']}\n  {row['content']}"
        table.add_row(what, "yes" if row["encrypted"] else "no", f"{row['count']:,}", f"{row['bytes']:,}")
    return table
