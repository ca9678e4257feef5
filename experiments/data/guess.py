"""What a table looks like to somebody who has never seen it: a guess, for the owner to correct.

Guessed are the id, the label, dates, an amount, values that mean "not there", columns that tell nothing, and which
columns belong together by the beginning of their names. No value of a row is told, only counts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from protocol.errors import DataError
from protocol.table import Sentinel, Source, TableSpec
from protocol.table.features import notes_on
from protocol.table.loaded import Loaded
from protocol.table.one_file import kind_of
from protocol.table.opening import made_plain
from protocol.table.scan import Scan, quoted, text

ID_NAME: Final = re.compile(r"(^|[_ ])(id|key|uuid|number|no|nr)$|id$|编号|客户号|证件", re.IGNORECASE)
LABEL_NAME: Final = re.compile(
    r"default|bad|target|label|delinq|fraud|charge.?off|^y$|class|outcome|违约|逾期", re.IGNORECASE
)
AMOUNT_NAME: Final = re.compile(r"amount|amnt|amt|exposure|balance|principal|disburse|金额|余额|额度", re.IGNORECASE)
PREFIX: Final = re.compile(r"[^\W\d_]+")
BAD_WORDS: Final = ("bad", "default", "defaulted", "yes", "y", "true", "是", "坏", "违约", "逾期")
ALWAYS_MISSING: Final = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null")
MISSING_AMONG_NUMBERS: Final = ("None", "none", "?", "-", ".", "unknown", "Unknown")
NEGATIVE_CODES: Final = (-1, -2, -3, -9, -98, -99, -998, -999, -9999, -99999, -999999)
POSITIVE_CODES: Final = (999, 9999, 99999, 999999, 9999999, 99999999)
MOST_PARTNERS: Final = 5
_SHARE_OF_CODES: Final = 0.001
_MOSTLY_UNIQUE: Final = 0.9


@dataclass(frozen=True)
class Seen:
    """One column. kind: number, date or category. missing: rows without a value. distinct: values."""

    name: str
    kind: str
    missing: int
    distinct: int
    binary: bool = False
    bad_rate: float = 0.0
    whole: bool = False


@dataclass
class Guess:
    """A proposal. parties: columns by party, the bank first. left_out: columns given to nobody, and why.

    doubtful: codes that look like "not there" in some columns, and like values in others. label_bad, label_good: of a
    label in words. reading: what is said of columns of text that are read as numbers.
    """

    source: Source
    rows: int
    seen: dict[str, Seen]
    id: tuple[str, ...]
    label: str
    missing: tuple[Sentinel, ...]
    dates: tuple[str, ...]
    amounts: tuple[str, ...]
    parties: dict[str, tuple[str, ...]]
    left_out: dict[str, str] = field(default_factory=dict)
    doubtful: tuple[int, ...] = ()
    label_bad: str = ""
    label_good: str = ""
    reading: dict[str, str] = field(default_factory=dict)


def guess(path: Path) -> Guess:
    """Look at a table. Raises: UsageError, DataError: there is no such table, id or label in it."""
    source = Source(kind=kind_of(path), path=path)
    with made_plain(source, "table") as plain, duckdb.connect() as base:
        texts = _texts_that_mean_missing(base, plain)
        loaded = Loaded(base, plain, TableSpec(id=(), missing=("", *texts)), "table")
        loaded.load(tuple(loaded.types))
        rows = loaded.rows
        seen = {name: _look(loaded, name) for name in loaded.types}
        id_columns, label, bad, good = _id(base, path.name, seen, rows), *_label(loaded, path.name, seen, rows)
        features = [c for c in seen.values() if c.name not in (*id_columns, label)]
        codes, doubtful = _codes(base, [c for c in features if c.kind == "number" and c.name not in loaded.texts], rows)
        left_out = {c.name: why for c in features if (why := _useless(c, rows))}
        kept = [c.name for c in features if c.name not in left_out]
        if len(kept) < 2:
            raise DataError("table", f"{path.name} has fewer than two columns to share out", "give more columns")
        return Guess(
            source, rows, seen, id_columns, label, ("", *texts, *codes),
            tuple(c.name for c in features if c.kind == "date"),
            tuple(c.name for c in features if c.kind == "number" and not c.missing and AMOUNT_NAME.search(c.name)),
            _parties(kept), left_out, doubtful, bad, good,
            _reading(loaded, [name for name in kept if seen[name].kind == "number"]),
        )  # fmt: skip


def _reading(loaded: Loaded, numbers: Iterable[str]) -> dict[str, str]:
    """What is said of columns of text among some columns of numbers."""
    return {name: notes_on(loaded, [name])[-1].text for name in numbers if name in loaded.texts}


def _look(loaded: Loaded, name: str) -> Seen:
    column = quoted(name)
    missing, distinct = _one(loaded.base, f"SELECT count(*) - count({column}), count(DISTINCT {column}) FROM t")
    kind = loaded.read(name).read.kind
    if kind != "number":
        return Seen(name, "category" if kind == "category" else "date", missing, distinct)
    numbers = loaded.some_numbers(name, np.arange(loaded.rows))
    there = numbers[~np.isnan(numbers)]
    binary = set(np.unique(there).tolist()) == {0.0, 1.0}
    whole = bool((there == np.floor(there)).all())
    rate = float(there.mean()) if binary else 0.0
    return Seen(name, "number", loaded.rows - len(there), len(np.unique(there)), binary, rate, whole)


def _texts_that_mean_missing(base: duckdb.DuckDBPyConnection, source: Source) -> tuple[str, ...]:
    """Texts of a CSV that stand for no value; some of them only where all the rest of the column are numbers."""
    if source.kind != "csv":
        return ()
    scan = Scan(base, source, (), ("",), "table")
    found: set[str] = set()
    for name in (n for n, kind in scan.types.items() if kind == "VARCHAR"):
        column = f"trim({quoted(name)})"
        listed = ", ".join(map(text, (*ALWAYS_MISSING, *MISSING_AMONG_NUMBERS)))
        try:
            there = {
                value
                for (value,) in base.sql(
                    f"SELECT DISTINCT {column} FROM {scan.raw} WHERE {column} IN ({listed})"
                ).fetchall()
            }
            others = f"{column} NOT IN ({listed}) AND {column} != '' AND TRY_CAST({column} AS DOUBLE) IS NULL"
            numbers = there and not _one(base, f"SELECT count(*) FROM {scan.raw} WHERE {others}")[0]
        except duckdb.Error as error:
            raise scan.unreadable(error) from None
        found |= {t for t in there if t in ALWAYS_MISSING or numbers}
    return tuple(t for t in (*ALWAYS_MISSING, *MISSING_AMONG_NUMBERS) if t in found)


def _id(base: duckdb.DuckDBPyConnection, file: str, seen: dict[str, Seen], rows: int) -> tuple[str, ...]:
    """A column that names every row, one whose name says so first; or such a column and a date."""
    whole = [c for c in seen.values() if not c.missing and (c.kind == "category" or (c.kind == "number" and c.whole))]
    unique = [c.name for c in whole if c.distinct == rows]
    if unique:
        return (next((n for n in unique if ID_NAME.search(n)), unique[0]),)
    dates = [c.name for c in seen.values() if c.kind == "date" and not c.missing]
    for name in (c.name for c in whole if ID_NAME.search(c.name)):
        for date in dates:
            if _one(base, f"SELECT count(DISTINCT ({quoted(name)}, {quoted(date)})) FROM t")[0] == rows:
                return name, date
    raise DataError("table", f"{file} has no column that names every row", "add an id column without gaps or doubles")


def _label(loaded: Loaded, file: str, seen: dict[str, Seen], rows: int) -> tuple[str, str, str]:
    """A column of 0 and 1 without gaps, one whose name says so or the last; or of two words, with the bad and good."""
    both = [c.name for c in seen.values() if c.binary and not c.missing]
    if both:
        return next((n for n in reversed(both) if LABEL_NAME.search(n)), both[-1]), "", ""
    for name in (c.name for c in seen.values() if c.kind == "category" and c.distinct == 2 and not c.missing):
        words = sorted(loaded.counts(name))
        bad = [word for word in words if word.strip().lower() in BAD_WORDS]
        if LABEL_NAME.search(name) and len(bad) == 1:
            words.remove(bad[0])
            return name, bad[0], words[0]
    raise DataError("table", f"{file} has no column of 0 and 1 for a label", "add one: 1 = bad, 0 = good")


def _codes(
    base: duckdb.DuckDBPyConnection, columns: Iterable[Seen], rows: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers that mean "not there", and numbers of which some columns say so and others do not."""
    codes = (*NEGATIVE_CODES, *POSITIVE_CODES)
    accepted: set[int] = set()
    denied: set[int] = set()
    listed = ", ".join(map(str, codes))
    for c in columns:
        column = f"CAST({quoted(c.name)} AS DOUBLE)"
        counts = ", ".join(f"count(*) FILTER ({column} = {code})" for code in codes)
        rest = f"min({column}) FILTER ({column} NOT IN ({listed})), max({column}) FILTER ({column} NOT IN ({listed}))"
        *times, low, high = _one(base, f"SELECT {counts}, {rest} FROM t")
        for code, count in zip(codes, times, strict=True):
            if not count:
                continue
            stands_apart = low is not None and (low >= 0 if code < 0 else code > 2 * max(abs(high), abs(low), 100))
            often = count >= max(2, _SHARE_OF_CODES * rows)
            (accepted if stands_apart and (often or code < -3) else denied).add(code)
    return tuple(c for c in codes if c in accepted - denied), tuple(c for c in codes if c in accepted & denied)


def _useless(column: Seen, rows: int) -> str:
    """Why a column is given to nobody, "" if it is."""
    if column.distinct <= 1 and not (column.distinct and column.missing):
        return "it has one value"
    if column.kind == "category" and column.distinct > _MOSTLY_UNIQUE * (rows - column.missing):
        return "nearly every row has a value of its own"
    return ""


def _parties(columns: list[str]) -> dict[str, tuple[str, ...]]:
    """Columns whose names begin alike belong to one party; the bank has those of the first, and what is left over."""
    groups: dict[str, list[str]] = {}
    for name in columns:
        found = PREFIX.match(name)
        groups.setdefault(found[0].lower() if found else "", []).append(name)
    first = next(iter(groups))
    alike = sorted(
        (p for p, names in groups.items() if p not in ("", first) and len(names) > 1), key=lambda p: -len(groups[p])
    )
    chosen = [p for p in groups if p in alike[:MOST_PARTNERS]]
    if not chosen:
        half = max(1, len(columns) // 2)
        return {"bank": tuple(columns[:half]), "partner": tuple(columns[half:])}
    theirs = {("bank columns" if p == "bank" else p): tuple(groups[p]) for p in chosen}
    taken = {name for names in theirs.values() for name in names}
    return {"bank": tuple(n for n in columns if n not in taken), **theirs}


def _one(base: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    (row,) = base.sql(query).fetchall()
    return tuple(row)
