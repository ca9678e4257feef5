"""Values of one column, read in one way wherever a table is read: by a node, by its doctor, or as rows to be scored.

`fetch` gives an expression in SQL over some rows as an array of shape (n,); `typed` is DuckDB's type of the column.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from protocol.messages import F64
from protocol.table.dates import Moments
from protocol.table.scan import as_text, is_date, is_number, quoted, sentinel_texts
from protocol.table.spec import Order, Sentinel
from protocol.table.table import Column
from protocol.table.texts import ReadAs, moments_of_texts, numbers_of_texts

Fetch = Callable[[str], Any]

_WEEKDAY_OF_1970: Final = 4
"""1 January 1970 was a Thursday; Monday is 1."""
PARTS: Final = ("hour", "weekday", "days")
"""What a date becomes: features named by the column and one of these."""


def numbers_in(fetch: Fetch, name: str, typed: str, read: ReadAs, missing: Sequence[Sentinel]) -> F64:
    """A column as numbers, shape (n,): nan where there is none, where it is infinite, and where it is a sentinel."""
    if is_number(typed):
        numbers = np.array(fetch(f"CAST({quoted(name)} AS DOUBLE)"), dtype=np.float64)
    else:
        texts = sentinel_texts(missing)
        numbers = numbers_of_texts((None if t in texts else t for t in fetch(as_text(name)).tolist()), read)
    codes = [s for s in missing if not isinstance(s, str)]
    numbers[np.isin(numbers, codes) | np.isinf(numbers)] = np.nan
    return numbers


def moments_in(fetch: Fetch, name: str, typed: str) -> Moments:
    """A column as dates or moments, shape (n,): NaT where there is none."""
    if is_date(typed):
        return np.array(fetch(f"CAST({quoted(name)} AS TIMESTAMP)"), dtype="datetime64[us]")
    return moments_of_texts(fetch(as_text(name)).tolist())


def part_in(moments: Moments, part: str, read: ReadAs, as_of: Moments | None) -> F64:
    """One of `PARTS` of some dates, shape (n,). as_of: the rows' own dates, from which days are counted if given."""
    there = ~np.isnat(moments)
    out = np.full(len(moments), np.nan)
    days = moments[there].astype("datetime64[D]")
    if part == "hour":
        out[there] = (moments[there] - days).astype("timedelta64[h]").astype(np.int64)
    elif part == "weekday":
        out[there] = (days.astype(np.int64) + _WEEKDAY_OF_1970 - 1) % 7 + 1
    elif as_of is not None:
        out[there] = (as_of[there].astype("datetime64[D]") - days).astype(np.int64)
    elif read.newest:
        out[there] = np.datetime64(read.newest, "D").astype(np.int64) - days.astype(np.int64)
    return out


def parts_of(read: ReadAs) -> tuple[str, ...]:
    """The parts that a date becomes."""
    return ("hour", "weekday") if read.kind == "moment" else ("days",)


def category_in(fetch: Fetch, name: str, missing: Sequence[Sentinel], grades: Order | None = None) -> Column:
    """A column as codes into its sorted categories, -1 where there is none or a sentinel.

    grades: their order where the categories are grades; a value that is not listed has the code -1.
    """
    texts = fetch(as_text(name)).tolist()
    categories = _in_order(set(texts) - sentinel_texts(missing) - {None}, grades)
    code_of = {category: code for code, category in enumerate(categories)}
    codes = np.fromiter((code_of.get(t, -1) for t in texts), dtype=np.int32, count=len(texts))
    return Column(name, "category", codes=codes, categories=tuple(categories), ordered=grades is not None)


def _in_order(found: set[str], grades: Order | None) -> list[str]:
    """The categories of a column. Grades are listed, or sorted with the numbers in their names as numbers."""
    if grades is None:
        return sorted(found)
    return sorted(found, key=_natural) if grades == "by_name" else list(grades)


def _natural(name: str) -> tuple[list[str | int], str]:
    """By what a grade is sorted: words and numbers alternate, so that "B2" stands before "B10"."""
    words = re.split(r"([0-9]+)", name)
    return [int(word) if k % 2 else word for k, word in enumerate(words)], name
