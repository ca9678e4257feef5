"""Ids: normalised the same way at every party, so that two files that mean the same rows agree.

Text is brought to unicode NFKC (half width) and trimmed; a whole number is written in decimal digits, whether its
column is of integers, of floats or of text ("1001.0", as a column of numbers with gaps is often written, is 1001).
By `id_case = "fold"` the case of letters and blanks inside an id do not count; `id_pad` writes zeros before digits up
to that length. Leading zeros of text are kept otherwise: "007" and 7 are two ids. Ids of several columns are joined by
`|`, a `|` or backslash inside one escaped by a backslash. Rows are always put in order of id, by the bytes of its UTF-8
form, so that no seeded draw depends on the order of a file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from protocol.errors import DataError
from protocol.messages import I64

IdCase = Literal["fold", "keep"]
_SHOWN: Final = 5
_FEWEST: Final = 20
"""Long ids of which all are floats, before that is more than chance."""
_EXACT: Final = 2**53
"""Below, a double tells any two whole numbers apart."""
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_LETTER: Final = re.compile("[A-Za-z]")
_DIGIT: Final = re.compile("[0-9]")
_EXPONENT: Final = re.compile(r"[+-]?[0-9](\.[0-9]+)?[eE]\+[0-9]+")
_POINTED: Final = re.compile(r"[0-9]{16,}\.0+")
_WHOLE: Final = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
"""A whole number with a decimal point. A number padded with zeros is not one: it is text."""


@dataclass(frozen=True)
class IdRule:
    """How ids are made alike; both nodes have the same. case: "fold" or "keep". pad: digits at least, 0 for any."""

    case: IdCase = "fold"
    pad: int = 0

    @property
    def text(self) -> str:
        """As the nodes compare it, "" of the default."""
        parts = {f"id_case {self.case}": self.case != "fold", f"id_pad {self.pad}": self.pad > 0}
        return ", ".join(part for part, said in parts.items() if said)

    def apply(self, value: str) -> str:
        """One id column's value, alike at both parties."""
        if self.case == "fold" and not value.isdecimal():
            value = "".join(value.translate(_INVISIBLE).casefold().upper().split()) or value
        return value.zfill(self.pad) if value.isdecimal() else value


AS_WRITTEN: Final = IdRule("keep")


def normalise_ids(
    columns: Sequence[Sequence[Any]], party: str, where: str, repeated: bool = False, first: int = 0,
    rule: IdRule = AS_WRITTEN,
) -> list[bytes]:  # fmt: skip
    """One id a row from one or several columns of text or numbers (None = null).

    party, where: for the sentence ("telecom", "calls.csv"). repeated: an id may occur in several rows. first: rows of
    the file before these. rule: how values are made alike.
    Raises: DataError: no ids; an id is null or blank, too large a float, or occurs twice; positions are named (from 1),
        ids never.
    """
    parts = [[_normal(value, rule) for value in column] for column in columns]
    if not parts or not parts[0]:
        raise DataError(party, f"{where} has no ids", "give a table with rows and an id column")
    for column in columns:
        _require_exact(column, party, where, first)
    null = [first + row + 1 for row, values in enumerate(zip(*parts, strict=True)) if None in values]
    if null:
        raise DataError(
            party, f"{_count(null, 'null id')} in {where}, at {places(null)}", "fill them in or drop the rows"
        )
    if len(parts) == 1:
        ids = [str(value).encode() for value in parts[0]]
    else:
        ids = ["|".join(_escaped(value) for value in values).encode() for values in zip(*parts, strict=True)]
    if not repeated:
        _require_unique(ids, party, where, first, rule)
    return ids


def exponents(column: Sequence[Any]) -> list[int]:
    """Rows, from 1, whose id looks like a number that a spreadsheet shortened ("1.23457E+11")."""
    return [row + 1 for row, v in enumerate(column) if type(v) is str and "+" in v and _EXPONENT.fullmatch(v.strip())]


def made_alike(column: Sequence[Any], rule: IdRule) -> tuple[int, int]:
    """How many ids of a column a rule changes: by width, blanks or the case of letters; and by zeros before digits.

    Where ids of one pattern of letters and digits are all of one case, it is not counted: nothing was made alike.
    """
    folding = IdRule(rule.case)
    texts = [v for v in map(str, column) if not v.isdecimal()]
    upper, lower = Counter[str](), set[str]()
    for text in texts if rule.case == "fold" else ():
        pattern = _DIGIT.sub("0", _LETTER.sub("a", text))
        upper[pattern] += text != text.lower()
        lower |= {pattern} if text != text.upper() else set()
    both = sum(count for pattern, count in upper.items() if pattern in lower)
    plain = [unicodedata.normalize("NFKC", v) for v in texts]
    wide = sum(p != v or (rule.case == "fold" and len(p.split()) > 1) for p, v in zip(plain, texts, strict=True))
    padded = sum(
        short is not None and len(short) < rule.pad and short.isdecimal()
        for short in (_normal(v, folding) for v in (column if rule.pad else ()))
    )
    return min(len(texts), both + wide), padded


def rounded(column: Sequence[Any]) -> int:
    """How many ids of more than 15 digits there are, if each of them is a float or ends in zeros after 15 digits.

    Of ids that were never numbers, one in 16 is by chance; 0 where there are fewer than 20, or any is not.
    """
    long = [v for v in map(str, column) if len(v) > 15 and v.isascii() and v.isdecimal() and int(v) >= _EXACT]
    doubles = all(int(float(v)) == int(v) for v in long)
    zeros = all(not v[15:].strip("0") for v in long)
    return len(long) if len(long) >= _FEWEST and (doubles or zeros) else 0


def id_order(ids: Sequence[bytes]) -> I64:
    """The rows in order of id, shape (n,)."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)


def _normal(value: Any, rule: IdRule) -> str | None:
    if type(value) is str and value.isascii() and value.isalnum():
        return rule.apply(value)  # as most ids are; none of what follows would change it
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return rule.apply(str(int(value)))
    text = str(value)
    text = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()
    whole = _WHOLE.fullmatch(text) if text.endswith("0") else None
    text = whole[1] if whole else text
    return rule.apply(text) if text else None


def _escaped(value: str | None) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|")


def duplicate_ids(rows: Sequence[int], party: str, where: str, rule: IdRule = AS_WRITTEN) -> DataError:
    """The error of ids that occur twice. rows: where they occur again, from 1."""
    thing = f"{_count(rows, 'duplicate id')} in {where}, at {places(rows)}"
    kept = '; or set id_case = "keep" at both nodes, if ids differ by the case of letters or by blanks'
    return DataError(party, thing, "keep one row an id" + (kept if rule.case == "fold" else ""))


def _require_exact(column: Sequence[Any], party: str, where: str, first: int) -> None:
    """Two whole numbers may be one float, and then two customers would be one."""
    if isinstance(column[0], float | np.floating):
        limit = 2**24 if isinstance(column[0], np.float32) else _EXACT
        blurred = [first + row + 1 for row, value in enumerate(column) if value is not None and abs(value) >= limit]
    else:
        blurred = [first + row + 1 for row, value in enumerate(column) if type(value) is str and _was_float(value)]
    if blurred:
        thing = f"{_count(blurred, 'id')} in {where}, at {places(blurred)}, are floats too large to tell apart"
        raise DataError(party, thing, "write the id column as whole numbers or as text")


def _was_float(text: str) -> bool:
    """Whether a text is how a float is written that is too large to be one whole number only."""
    if not text.endswith("0") and "+" not in text:
        return False
    text = text.strip()
    return bool(_POINTED.fullmatch(text) or _EXPONENT.fullmatch(text)) and abs(float(text)) >= _EXACT


def _require_unique(ids: Sequence[bytes], party: str, where: str, first: int, rule: IdRule) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: set[bytes] = set()
    twice = []
    for row, value in enumerate(ids):
        if value in seen:
            twice.append(first + row + 1)
        seen.add(value)
    raise duplicate_ids(twice, party, where, rule)


def _count(rows: Sequence[int], thing: str) -> str:
    return f"{len(rows)} {thing}{'' if len(rows) == 1 else 's'}"


def places(rows: Sequence[int]) -> str:
    """The first of some rows, for a sentence: "rows 2, 3, 4, 5, 6 ..."."""
    shown = ", ".join(str(row) for row in rows[:_SHOWN])
    return f"row{'' if len(rows) == 1 else 's'} {shown}{' ...' if len(rows) > _SHOWN else ''}"
