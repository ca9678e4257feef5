"""Text that stands for numbers or dates: how a column of text is read, decided by all of its values.

A column is read as numbers where at least 99% of its values are numbers in one form of writing; two kinds of words are
set aside first: those that spreadsheets and databases write for "no value" (`-`, `NULL`, `#N/A`), and one further word
without a digit, if it is rarer than the numbers. What is set aside, and what is left over, is missing. Dates likewise.

A form fixes the decimal mark and the percent sign for the whole column, so that "1,234" and "12%" mean one thing in it:
of all forms the one that reads the most values, and of equals the first.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np

from protocol.messages import F64
from protocol.table.dates import Moments

SHARE: Final = 0.99
"""Of the values that are not set aside: this many are numbers, or the column is text."""
_FREQUENT: Final = 2000
"""Values of a column, the most frequent ones, by which a form of writing is chosen."""
MARKERS: Final = frozenset(
    (
        "-", "--", "---", ".", "..", "?", "*", "null", "(null)", "none", "nan", "na", "n/a", "n.a.", "#n/a", "#na",
        "#value!", "#div/0!", "#ref!", "#null!", "#num!", "#name?", "\\n", "nil", "inf", "-inf", "+inf", "infinity",
        "-infinity", "unknown", "missing", "无", "空", "缺失", "未知", "不详", "暂无", "不适用",
    )
)  # fmt: skip
"""Words for "no value", tidied and in lower case."""
_DASHES: Final = str.maketrans(dict.fromkeys("−‐‑‒–—―﹣", "-"))
_CURRENCY: Final = r"(?:[¥$€£₩₹₽]|元|圆|人民币|(?i:CNY|RMB|USD|EUR|GBP|HKD|JPY))"
_USUAL: Final = re.compile(r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")
_AMOUNT: Final = re.compile(
    rf"(?P<before>[+-]?) ?{_CURRENCY}? ?(?P<sign>[+-]?)(?P<digits>[\d.,' ’e+-]+?) ?{_CURRENCY}?"
)
_DIGITS: Final = {
    ".": re.compile(r"(?:\d+|\d{1,3}(?:([,'’ ])\d{3})(?:\1\d{3})*)?(?:(?<=\d)\.|\.(?=\d))?\d*(?:(?<=[\d.])e[+-]?\d+)?"),
    ",": re.compile(r"(?:\d+|\d{1,3}(?:([.'’ ])\d{3})(?:\1\d{3})*)?(?:(?<=\d),|,(?=\d))?\d*"),
}
_DATE: Final = re.compile(
    r"(?P<y>\d{4}) ?[-/.年] ?(?P<m>\d{1,2}) ?[-/.月] ?(?P<d>\d{1,2}) ?日?"
    r"(?:[T ]*(?P<time>(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:\.\d+)?)?))?"
)

Kind = Literal["number", "days", "moment", "category"]


class ReadAs(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a column is read; a model remembers it, so that new rows are read in the same way.

    kind: days: a date, as days before `newest` ("" for the row's own as-of date); moment: hour and day of the week.
    decimal, percent: the form of numbers in text. words: what is missing, as it is written.
    """

    kind: Kind
    decimal: Literal[".", ","] = "."
    percent: bool = False
    newest: str = ""
    words: tuple[str, ...] = ()


class TextRead(msgspec.Struct, frozen=True):
    """How a column of text is read, and the rows of each value that is neither number nor date, which is missing."""

    read: ReadAs
    missing: dict[str, int] = {}


FORMS: Final = tuple(
    ReadAs("number", decimal=decimal, percent=percent) for percent in (False, True) for decimal in (".", ",")
)
CATEGORY: Final = ReadAs("category")


def tidy(text: str) -> str:
    """Half-width characters, one minus, and no blanks around."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).translate(_DASHES).strip()


def is_marker(text: str) -> bool:
    """Whether a text is a word for "no value"."""
    return tidy(text).lower() in MARKERS


def number_of(text: str, form: ReadAs) -> float | None:
    """The number that a text stands for in a form of writing; None if it is none."""
    if form.decimal == "." and not form.percent and _USUAL.fullmatch(text):
        return float(text.replace(",", ""))  # as most numbers are; what follows would give the same, ten times slower
    value = tidy(text)
    bracketed = len(value) > 2 and value[0] == "(" and value[-1] == ")"
    value = value[1:-1].strip() if bracketed else value
    percent = value.endswith("%")
    found = _AMOUNT.fullmatch(value[:-1].rstrip().lower() if percent else value.lower())
    if not found or (found["before"] and found["sign"]) or (bracketed and (found["before"] or found["sign"])):
        return None
    number = _unsigned(found["digits"].strip(), form.decimal)
    if number is None or (percent != form.percent and not (number == 0 and form.percent)):
        return None
    return -number if bracketed or "-" in (found["before"], found["sign"]) else number


def moment_of(text: str) -> np.datetime64 | None:
    """The date or moment that a text stands for, the year first; None if it is none."""
    found = _DATE.fullmatch(tidy(text))
    if not found:
        return None
    day = f"{found['y']}-{found['m']:0>2}-{found['d']:0>2}"
    time = f"T{found['h']:0>2}:{found['min']}:{found['s'] or '00'}" if found["time"] else ""
    try:
        return np.datetime64(day + time, "us")
    except ValueError:
        return None


def read_text(counts: Mapping[str, int]) -> TextRead:
    """How a column of text is read. counts: rows of each of its values, sentinels left out."""
    for form in _best_forms(counts):
        missing = _set_aside(counts, {v for v in counts if number_of(v, form) is not None})
        if missing is not None:
            return TextRead(msgspec.structs.replace(form, words=_words(missing)), missing)
    moments = {value: moment for value in counts if (moment := moment_of(value)) is not None}
    missing = _set_aside(counts, set(moments))
    if missing is None:
        return TextRead(CATEGORY)
    times = np.array(list(moments.values()), dtype="datetime64[us]")
    return TextRead(msgspec.structs.replace(read_moments(times), words=_words(missing)), missing)


def read_moments(moments: Moments) -> ReadAs:
    """How dates are read: as days, or by hour and day of the week where one has an hour."""
    there = moments[~np.isnat(moments)]
    days = there.astype("datetime64[D]")
    hours = (there - days).astype("timedelta64[h]").astype(np.int64)
    if hours.any():
        return ReadAs("moment")
    return ReadAs("days", newest=str(days.max()) if len(days) else "")


def left_over(counts: Mapping[str, int], read: ReadAs) -> tuple[int, dict[str, int]]:
    """Of a column of new rows: how many values are read as in training, and rows of each that is not."""
    others = {value: rows for value, rows in counts.items() if _value(value, read) is None}
    return sum(counts.values()) - sum(others.values()), others


def may_be_missing(known: int, others: Mapping[str, int], read: ReadAs) -> bool:
    """Whether the values left over may be missing: words that were in training, markers, or 1% at most of the rest."""
    odd = sum(rows for value, rows in others.items() if value not in read.words and not is_marker(value))
    return odd <= (1 - SHARE) * (odd + known)


def numbers_of_texts(texts: Iterable[Any], read: ReadAs) -> F64:
    """Shape (n,), nan where a text is no number of the form."""
    value_of: dict[Any, float] = {None: np.nan}
    out = []
    for text in texts:
        if text not in value_of:
            number = number_of(text, read)
            value_of[text] = np.nan if number is None else number
        out.append(value_of[text])
    return np.array(out, dtype=np.float64)


def moments_of_texts(texts: Iterable[Any]) -> Moments:
    """Shape (n,), NaT where a text is no date."""
    nat = np.datetime64("NaT", "us")
    value_of: dict[Any, np.datetime64] = {None: nat}
    out = []
    for text in texts:
        if text not in value_of:
            moment = moment_of(text)
            value_of[text] = nat if moment is None else moment
        out.append(value_of[text])
    return np.array(out, dtype="datetime64[us]")


def _value(text: str, read: ReadAs) -> float | np.datetime64 | None:
    return number_of(text, read) if read.kind == "number" else moment_of(text)


def _unsigned(digits: str, decimal: str) -> float | None:
    if not digits or not _DIGITS[decimal].fullmatch(digits):
        return None
    group = "." if decimal == "," else ","
    plain = re.sub(rf"[{group}'’ ]", "", digits).replace(",", ".")
    try:
        return float(plain)
    except ValueError:
        return None


def _best_forms(counts: Mapping[str, int]) -> list[ReadAs]:
    """The form that reads the most rows, if one reads any: of the most frequent values, and of all where forms tie."""
    frequent = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_FREQUENT])
    rows = _rows_read(FORMS, frequent)
    best = [form for form in FORMS if rows[form] and rows[form] == max(rows.values())]
    if len(best) > 1 and len(frequent) < len(counts):
        rows = _rows_read(best, counts)
        best.sort(key=lambda form: -rows[form])  # the sort keeps the order of equals
    return best[:1]


def _rows_read(forms: Iterable[ReadAs], counts: Mapping[str, int]) -> dict[ReadAs, int]:
    return {form: sum(n for v, n in counts.items() if number_of(v, form) is not None) for form in forms}


def _set_aside(counts: Mapping[str, int], known: set[str]) -> dict[str, int] | None:
    """The values that are missing, if those that are `known` are enough; None if they are not."""
    others = {value: rows for value, rows in counts.items() if value not in known}
    rows = sum(counts[value] for value in known)
    words = {v: n for v, n in others.items() if not is_marker(v)}
    odd = max((v for v in words if not any(c.isdigit() for c in v)), key=lambda v: (words[v], v), default=None)
    if odd is not None and words[odd] < rows:
        words.pop(odd)
    left = sum(words.values())
    return others if rows and left <= (1 - SHARE) * (rows + left) else None


def _words(missing: Mapping[str, int]) -> tuple[str, ...]:
    """The words that are remembered: those that may be frequent, and hold no digit."""
    return tuple(sorted(v for v in missing if not any(c.isdigit() for c in v)))[:20]
