"""`fedwarn new scenario`: a guess at a table, written as a scenario that runs as it is and teaches its keys."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.data.guess import Guess, Seen, guess
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.table import file_sha256

_SMALL = 10_000


def new_scenario(table: Path, out: Path) -> Guess:
    """Write the scenario. Raises: UsageError: the table is not there, or the file is. DataError: it is no table."""
    sha256 = file_sha256(table, "table")
    if out.exists():
        raise UsageError("fedwarn", f"{out.name} is there already", "name another file with --out")
    found = guess(table)
    path = Path(os.path.relpath(table.resolve(), out.resolve().parent)).as_posix()
    write_whole(out, ("\n".join(_lines(found, out.stem, path, sha256)) + "\n").encode(), 0o644)
    return found


def _lines(found: Guess, name: str, path: str, sha256: str) -> Iterator[str]:
    yield f"# Guessed from {found.rows:,} rows and {len(found.seen)} columns. Read it, correct it, and run it:"
    yield f"#     fedwarn run {name}.toml --out out/{name}"
    yield "# Every key is described in docs/scenario-file.md; an unknown one is an error that names the nearest."
    yield "schema = 1"
    yield f"name = {_text(name)}"
    yield "synthetic = false               # true if the data are made up: every title then says so"
    yield 'label_party = "bank"'
    yield from _data(found, path, sha256)
    yield from _parties(found)
    yield from _rest(found)


def _data(found: Guess, path: str, sha256: str) -> Iterator[str]:
    label = found.seen[found.label]
    yield from ("", "[data]")
    yield f'source = {{ kind = "{found.source.kind}", path = {_text(path)}, sha256 = "{sha256}" }}'
    yield "# One or several columns that name a row. Ids are compared as text: 007 and 7 are two."
    yield f"id = {_texts(found.id)}"
    if found.label_bad:
        yield "# The label is in words: which of them are bad, and which good."
        yield f"label_bad = {_texts([found.label_bad])}"
        yield f"label_good = {_texts([found.label_good])}"
    else:
        turn = "if that is the good ones, turn it round in the table."
        yield f"# 1 = bad, 0 = good. Here {label.bad_rate:.1%} are 1: {turn}"
    yield f"label = {_text(found.label)}"
    others = [c.name for c in found.seen.values() if c.binary and c.name != found.label]
    if others:
        yield f"# Of 0 and 1 too, and a feature below: {', '.join(map(_text, others))}"
    yield '# Values that mean "not there". The report counts them by column.'
    yield f"missing = [{', '.join(json.dumps(m, ensure_ascii=False) for m in found.missing)}]"
    if found.doubtful:
        listed = ", ".join(map(str, found.doubtful))
        yield f"# {listed}: a code in some columns, a value in others. Add one that never is a value."
    yield "# Columns whose values have no order, beside all that are no numbers; list codes of branches or products."
    yield 'categorical = "auto"'
    if found.reading:
        yield '# Text that is read as numbers; numbers = "strict" would take it for categories.'
        yield from (f"#     {line}" for line in found.reading.values())
    yield '# A date for an out-of-time split ([split] kind = "time"); it is then no feature: take it out of its party.'
    yield f"# time = {_text(found.dates[0] if found.dates else 'date of the application')}"
    yield "# Exposure in money, for scores.csv; it is then no feature either."
    yield f"# amount = {_text(found.amounts[0] if found.amounts else 'loan amount')}"


def _parties(found: Guess) -> Iterator[str]:
    yield ""
    yield "# Who holds what, guessed from the beginnings of the names. Rename the parties and move columns as you like:"
    yield "# there is one at least besides the bank, and a column has one owner."
    for party, columns in found.parties.items():
        yield f"[parties.{_text(party)}]"
        yield "columns = ["
        yield from (f"    {_text(c)},  # {_about(found.seen[c], found.rows)}" for c in columns)
        yield "]"
        if party != "bank":
            yield "coverage = 0.9                  # share of the bank's rows that it holds"
            yield "strangers = 0.1                 # further rows, as a share of the bank's, which the bank lacks"
        yield ""
    for column, why in found.left_out.items():
        yield f"# Given to nobody: {_text(column)}, since {why}."


def _about(seen: Seen, rows: int) -> str:
    kind = {"date": "date: becomes days, or its hour and weekday"}.get(seen.kind, seen.kind)
    gaps = f", {seen.missing / rows:.0%} blank" if seen.missing else ""
    return f"{kind}, {seen.distinct:,} values{gaps}"


def _rest(found: Guess) -> Iterator[str]:
    small = found.rows < _SMALL
    yield from (
        "",
        "[split]",
        'kind = "random"                 # or "time" (needs data.time), or "column" (needs split.column)',
    )
    yield from ("test = 0.25", "validation = 0.0                # early stopping needs some", "seed = 7")
    yield from ("", "# XGBoost's names and meaning. More trees, and deeper ones, spend more of the partners' budgets.")
    yield from ("[[models]]", 'kind = "boosting"', "[models.params]")
    yield f"n_estimators = {30 if small else 100}"
    yield from ("max_depth = 3", "learning_rate = 0.2", "max_bin = 16", "reg_lambda = 5.0", "colsample_bytree = 0.8")
    yield from ("", "[run]", 'engine = "blind"                # "plaintext" encrypts nothing')
    yield 'transport = "processes"         # a process a party; "in-process" is quicker to start'
    yield 'ladder = "auto"                 # bank; bank + each partner; all'
    yield from (
        "seed = 7",
        "",
        "[report]",
        "placebo = true                  # a rung with shuffled rows: its uplift must be none",
    )
    yield from (
        "",
        "# What partners permit: of every clause the stricter value of both sides holds. SECURITY.md says why.",
    )
    yield from ("[contract]", "min_rows_per_bin = 20", "min_rows_per_node = 50", "max_information_share = 0.35")
    if small:
        yield f"# {found.rows:,} rows are few: noise costs accuracy here. Between real partners 4 is the default."
    yield f"histogram_noise = {1.0 if small else 4.0}"
    yield "# max_equations_share = 0.1     # naming it enforces it, also on a table dealt out in one place"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"
