"""`fedwarn rehearse`: a contract year on one scenario, before anybody signs.

month 0        contract, training, first refresh
every month    tables drift, partners publish, the bank refreshes, and scores everybody it knows
every third    a refit on what is known, which sends nothing
month 4        one partner is out of reach
month 11       one partner of two or more ends its contract
"""

import csv
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from bank_node.data.rows import PART, open_rows
from bank_node.families.catalogue import load_model
from bank_node.models.folder import ModelFolder
from bank_node.partners.contracts import contracts_of as contracts_of_bank
from bank_node.record.facts import read_facts
from bank_node.training.outcome.outcome import write_outcome
from bank_node.training.refit import refit
from bank_node.training.refit_record import read_record, write_record
from experiments.pages.render import rehearsal_page
from experiments.run.prepare import prepare
from experiments.run.scenario import concrete
from experiments.studies.rehearse.document import Month, Rehearsal, Told
from experiments.studies.rehearse.months import BOOK, DRIFT, Year
from experiments.studies.rehearse.stage import Stage, deal_whole, set_up
from partner_node.node.publishing import publish
from partner_node.policy.contracts import contracts_of, end
from partner_node.policy.evaluations import Evaluations
from partner_node.policy.opening import open_budgets
from partner_node.policy.refreshes import Refreshes
from protocol.errors import RefusedError, TransportError, UsageError
from protocol.files import folder_name, own_folder
from protocol.job.ladder import folder_of, rungs
from protocol.ledger import export_receipt
from protocol.ledger.receipts import reconcile
from protocol.messages import F64
from protocol.signing.contract import TERMINATION_TYPE, Ending, seal_ending
from protocol.signing.kept import write_envelope
from protocol.signing.keys import CONTRACT_KEY, load_contract_key

Progress = Callable[[str, int, int], None]
QUARTER: Final = 3
PAGE: Final = "rehearsal.html"
ABSENT_IN: Final = 4
ENDED_IN: Final = 11
CAPACITY: Final = 0.05
"""Share of the customers that are alerted in a month."""
LOOKED_UP: Final = 5
"""Newcomers of a month that are scored before the month's refresh."""


@dataclass
class _Play:
    """A rehearsal under way. party_set: whose model is in force. scores: of last month, by id.
    changed: customers whose rows changed since they were scored; untold: at a partner that could not publish.
    partly: customers scored last month without a partner that was out of reach."""

    stage: Stage
    year: Year
    progress: Progress
    run: Path
    party_set: str
    scores: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    partly: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)


def rehearse(scenario: Path, months: int, out: Path, fresh: bool, progress: Progress) -> Rehearsal:
    """Play so many months, and leave rehearsal.json in a folder.

    Raises: UsageError: the scenario has dates of rows (`data.as_of`), which are not played yet, or the folder holds a
    run. DataError: a table cannot be used.
    """
    scenario = concrete(scenario)
    prepare(out, fresh)
    _clear(out, fresh)
    job, whole = deal_whole(scenario, out)
    if job.data.as_of:
        raise UsageError("rehearse", "a scenario with data.as_of is not played yet", "give one without dates of rows")
    with ExitStack() as stack:
        base = stack.enter_context(duckdb.connect())
        year = Year(job, whole, months, _date(base, whole[job.bank], job.time, job.parties[job.bank].columns), base)
        for party in job.parties:
            year.write(party, 0, own_folder(out / "nodes" / folder_name(party)) / "data.parquet")
        stage = set_up(scenario, out, whole, 1 / BOOK, stack)
        play = _Play(stage, year, progress, out / "run", _full(stage))
        played = [_month(play, month) for month in range(months + 1)]
    found = Rehearsal(
        scenario=job.name, synthetic=job.synthetic, book=BOOK, drift=DRIFT, months=played,
        order=f"customers arrive in the order of {year.date}" if year.date else "customers arrive by a digest of ids",
        books_equal=all(month.books_equal for month in played),
        plays=_plays(stage, months),
        plays_not=["a contract key that rotates", "labels that mature: a refit is on the labels of the first training"],
    )  # fmt: skip
    found.write(out)
    (out / PAGE).write_text(rehearsal_page(found), encoding="utf-8")
    return found


def _clear(out: Path, fresh: bool) -> None:
    """Take an earlier rehearsal out of the folder."""
    for name in ("whole", "contracts", "contract_keys", "run", "refits") if fresh else ():
        shutil.rmtree(out / name, ignore_errors=True)


def _plays(stage: Stage, months: int) -> list[str]:
    played = ["every clause enforced, under the contract that its draft proposes"]
    played += [f"{stage.job.partners[0]} is out of reach in month {ABSENT_IN}"] if months >= ABSENT_IN else []
    two = len(stage.job.partners) > 1 and months >= ENDED_IN
    return [*played, *([f"{stage.job.partners[-1]} ends its contract in month {ENDED_IN}"] if two else [])]


def _date(base: duckdb.DuckDBPyConnection, table: Path, declared: str, columns: tuple[str, ...]) -> str:
    """The column that orders customers: data.time, or the bank's first column whose values are dates."""
    if declared:
        return declared
    for column in columns:
        tried = f'count(TRY_CAST("{column}" AS TIMESTAMP)), count(DISTINCT "{column}")'
        query = f"SELECT {tried}, count(*), any_value(typeof(\"{column}\")) FROM read_parquet('{table}')"
        ((dates, distinct, rows, kind),) = base.execute(query).fetchall()
        if dates == rows and distinct > 2 and kind in ("VARCHAR", "DATE", "TIMESTAMP"):
            return column
    return ""


def _full(stage: Stage) -> str:
    ladder = rungs(stage.job.bank, stage.job.partners, stage.job.run.ladder, False)
    return max(ladder, key=lambda rung: len(rung.partners)).name


def _month(play: _Play, month: int) -> Month:
    """One month, from the tables to the books."""
    began, stage = time.perf_counter(), play.stage
    play.refused, play.changed = [], set()
    stage.transport.count.clear()
    stage.transport.absent = {stage.job.partners[0]} if month == ABSENT_IN else set()
    if month == 0:
        _train(play)
    moved = _turn(play, month) if month else {}
    if month == ENDED_IN and len(stage.job.partners) > 1:
        _end(play, stage.job.partners[-1])
    refitted = bool(month) and month % QUARTER == 0 and _refit(play, month)
    exchanges = {"training and contract" if month == 0 else "look-ups": stage.transport.count.total()}
    _refresh(play)
    exchanges["refresh"] = stage.transport.count.total() - sum(exchanges.values())
    partly, play.partly = play.partly, set()
    scored = _score(play, month)
    exchanges["scoring"] = stage.transport.count.total() - sum(exchanges.values())
    same = {i: s for i, s in scored.items() if i in play.scores and i not in play.changed | partly and not refitted}
    lost = sum(play.scores[i] != s for i, s in same.items()) if not play.gone or month != ENDED_IN else 0
    play.scores = scored
    new = [str(i) for (i,) in play.year.base.sql(f"SELECT id_ FROM arrivals WHERE month = {month}").fetchall()]
    play.progress("months", month + 1, play.year.months + 1)
    return Month(
        month=month, known=len(scored), new=len(new) if month else len(scored), auc=_auc(play, scored, month),
        alerts=int(CAPACITY * len(scored)), changed=moved, absent=sorted(stage.transport.absent),
        exchanges=exchanges, unchanged=len(same), unchanged_scores_moved=lost, refitted=refitted,
        refused=play.refused, told={p: _told(stage, p) for p in stage.job.partners}, books_equal=_books_equal(play),
        seconds=round(time.perf_counter() - began, 2),
    )  # fmt: skip


def _train(play: _Play) -> None:
    stage = play.stage
    with stage.node() as node:
        node.train(stage.job, (stage.out / "job.toml").read_text(encoding="utf-8"), play.run)


def _turn(play: _Play, month: int) -> dict[str, int]:
    """Tables of the new month: partners publish theirs, unless they are out of reach or gone; a few are looked up."""
    stage, year, moved = play.stage, play.year, {}
    _look_up(play, month)
    play.changed, play.untold = play.untold, set()
    for partner in stage.job.partners:
        before = year.taken(partner)
        moved[partner] = year.drift(partner, month)
        changed = year.differ(partner, before)
        if partner in stage.transport.absent or partner in play.gone:
            play.untold |= changed  # the bank meets these changes when the partner is back
            continue
        play.changed |= changed
        path = stage.table(partner).with_name(f"month-{month}.parquet")
        year.write(partner, month, path)
        publish(stage.partner(partner), path)
    year.write(stage.job.bank, month, stage.table(stage.job.bank))
    return moved


def _look_up(play: _Play, month: int) -> None:
    """Score a few customers of the month before its refresh: what is not known of them is looked up."""
    stage, path = play.stage, play.stage.out / "newcomers.parquet"
    if stage.transport.absent:
        return
    play.year.newcomers(month, LOOKED_UP, path)
    _asking(play, lambda: _scores(play, path))


def _refresh(play: _Play) -> None:
    stage, model = play.stage, _model(play)
    config = stage.bank
    with open_rows(config, model, stage.table(stage.job.bank), config.state) as rows:
        ids = [key for first, count in rows.parts(PART) for key in rows.keys(first, count)]

    def work() -> None:
        with stage.node() as node:
            node.refresh([model], ids)

    _asking(play, work)


def _asking(play: _Play, work: Callable[[], object]) -> None:
    """Do what asks partners; a refusal is noted, and a partner out of reach is waited for until the next month."""
    try:
        work()
    except RefusedError as error:
        play.refused.append(str(error))
    except TransportError as error:
        if error.party not in play.stage.transport.absent:
            raise


def _score(play: _Play, month: int) -> dict[str, str]:
    """Scores of everybody whom the bank knows, by id, as they are written.

    While a partner is out of reach, new customers are scored without it, and all others by what is kept.
    """
    found: dict[str, str] = {}
    table, absent = play.stage.table(play.stage.job.bank), set(play.stage.transport.absent)
    if not absent:
        _asking(play, lambda: found.update(_scores(play, table)))
        return found
    known, new = table.with_name("known.parquet"), table.with_name("new.parquet")
    play.year.parted(table, month, known, new)
    found |= _scores(play, known)
    fresh = _scores(play, new, absent)
    play.partly = set(fresh)
    return found | fresh


def _scores(play: _Play, table: Path, without: set[str] | None = None) -> dict[str, str]:
    stage, model, out = play.stage, _model(play), play.stage.out / "month.csv"
    with open_rows(stage.bank, model, table, stage.out) as rows, stage.node() as node:
        node.score_file(model, rows, out, without or set())
    with out.open(encoding="utf-8") as file:
        return {row["id"]: row["score"] for row in csv.DictReader(file)}


def _model(play: _Play) -> ModelFolder:
    return load_model(play.run / "models" / folder_of(play.party_set) / play.stage.job.model_names[0])


def _refit(play: _Play, month: int) -> bool:
    """Fit the models again on what is known: no partner is asked."""
    stage, out = play.stage, play.stage.out / "refits" / f"month-{month}"
    before = stage.transport.count.total()
    try:
        with _book(play):
            training, _ = refit(stage.bank, read_record(play.run, stage.job.bank), {}, lambda *_: None)
    except RefusedError as error:
        play.refused.append(str(error))
        return False
    write_outcome(training, own_folder(out), (stage.out / "job.toml").read_text(encoding="utf-8"))
    write_record(training, out)
    assert stage.transport.count.total() == before
    play.run = out
    return True


def _book(play: _Play) -> ExitStack:
    """The bank's table as it was trained on, for as long as a refit lasts."""
    table, stack = play.stage.table(play.stage.job.bank), ExitStack()
    kept = table.with_suffix(".month")
    shutil.copyfile(table, kept)
    play.year.write(play.stage.job.bank, 0, table)
    stack.callback(kept.replace, table)
    return stack


def _end(play: _Play, partner: str) -> None:
    """One partner ends its contract; the bank goes on with the model of the others."""
    stage, path = play.stage, play.stage.out / "termination.json"
    contract = contracts_of(stage.partner(partner)).all()
    key = load_contract_key(stage.out / "contract_keys" / folder_name(partner) / CONTRACT_KEY)
    ending = Ending(next(contract).contract.id, partner, "2000-01-01T00:00:00+00:00")
    write_envelope(path, seal_ending(ending, TERMINATION_TYPE).signed(key))
    end(stage.partner(partner), path)
    contracts_of_bank(stage.bank).end(path)
    play.gone.add(partner)
    others = [p for p in stage.job.partners if p not in play.gone]
    ladder = rungs(stage.job.bank, stage.job.partners, stage.job.run.ladder, False)
    play.party_set = next(rung.name for rung in ladder if sorted(rung.partners) == sorted(others))


def _auc(play: _Play, scored: dict[str, str], month: int) -> float | None:
    """Of the month's newcomers, whom no model was fitted to; in the first month, None."""
    rows = play.year.base.sql(f"SELECT id_, bad FROM arrivals WHERE month = {month}").fetchall()
    known = [(float(scored[str(i)]), bad) for i, bad in rows if month and str(i) in scored]
    if len({bad for _, bad in known}) < 2:
        return None
    scores, bad = np.array([s for s, _ in known]), np.array([b > 0 for _, b in known])
    return round(area(scores[bad], scores[~bad]), 4)


def area(bads: F64, goods: F64) -> float:
    """AUC: the chance that a bad scores above a good, equal scores counting half."""
    ordered = np.sort(goods)
    below, upto = np.searchsorted(ordered, bads, "left"), np.searchsorted(ordered, bads, "right")
    return float((below + upto).sum() / (2 * len(bads) * len(goods)))


def _told(stage: Stage, partner: str) -> Told:
    config = stage.partner(partner)
    bank, account = config.bank, config.policy.account
    with closing(open_budgets(config)) as budgets:
        refreshes = Refreshes(budgets, partner, bank, account)
        return Told(
            information_share=round(budgets.other_shares(bank, account, b""), 4),
            told_anew=round(refreshes.told_anew, 4), refreshes=refreshes.spent,
            lookups=Evaluations(budgets, partner, bank, account).spent, readable_share=_readable(stage, partner),
        )  # fmt: skip


def _readable(stage: Stage, partner: str) -> float:
    """What the partner said last that a bank which lies could have read, in the run's report."""
    shares = [r.leakage[partner].readable_share for r in read_facts(stage.out / "run").rungs if partner in r.leakage]
    return max(shares, default=0.0)


def _books_equal(play: _Play) -> bool:
    """Whether the ledgers of the bank and of every partner tell the same story."""
    stage, folder = play.stage, own_folder(play.stage.out / "books")
    ours = folder / "bank.jsonl"
    export_receipt(stage.bank.state / "ledger.sqlite", ours, stage.job.bank)
    for partner in stage.job.partners:
        theirs = folder / f"{folder_name(partner)}.jsonl"
        export_receipt(stage.partner(partner).state / "ledger.sqlite", theirs, partner)
        if reconcile(ours, theirs) is not None:
            return False
    return True
