"""Checkup: what the doctors of two nodes tell each other, before any job.

    bank                                         partner
     |-- Probe (time, filler, filler wanted) ---->|  a few, small and large: clocks, latency, speed both ways
     |<- Echo (time, filler) ---------------------|
     |-- FormatsQuery (formats of its ids) ------>|  keeps them and the bank's clock, for its own doctor
     |<- Formats (formats of its ids, schema) ----|

Ids that are padded or typed otherwise at one side are the commonest cause of an empty intersection. A *format* says of
one id column which share of the rows, in tenths, has so many characters of which kind; formats of fewer than 20 rows or
a twentieth of them are not told, so that no format speaks of a few people.

What each learns: the other's clock; the formats of its ids; the bank, whether the partner's columns are those of the
last checkup (a keyed digest of their names and types, which says nothing else).
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol.fields import Count, Name, Seconds, require_names
from protocol.messages import Message, declared

LARGE: Final = 1 << 20
"""Bytes of filler in a probe of the link's speed."""
MOST_ROWS: Final = 200_000
"""Ids looked at: every k-th of a larger table."""
_FEWEST_ROWS: Final = 20
_SMALLEST_SHARE: Final = 0.05
_BETWEEN: Final = re.compile(rb"(?<!\\)\|")


class Format(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """One format of an id column. kind: of its characters. length: how many. tenths: share of the rows, rounded."""

    kind: Name
    length: Count
    tenths: Annotated[int, Meta(ge=0, le=10)]

    def __post_init__(self) -> None:
        require_names(self.kind)


IdFormats = Annotated[tuple[Annotated[tuple[Format, ...], Meta(max_length=64)], ...], Meta(max_length=64)]
"""Formats of each id column, the most frequent first."""


@declared(
    "checkup.probe", content="the time, and filler of zeros", purpose="measure clocks, latency and speed",
    most_bytes=LARGE + (1 << 16),
)  # fmt: skip
class Probe(Message, frozen=True):
    """time_s: seconds since 1970. wanted: bytes of filler in the reply, at most `LARGE`."""

    time_s: Seconds
    filler: Annotated[bytes, Meta(max_length=LARGE)]
    wanted: Annotated[int, Meta(ge=0, le=LARGE)]


@declared(
    "checkup.echo", content="the time, and filler of zeros", purpose="measure clocks, latency and speed",
    most_bytes=LARGE + (1 << 16),
)  # fmt: skip
class Echo(Message, frozen=True):
    """The partner's time when it answered."""

    time_s: Seconds
    filler: Annotated[bytes, Meta(max_length=LARGE)]


@declared(
    "checkup.formats_query",
    content="lengths and kinds of characters of the bank's ids, with shares in tenths",
    purpose="find ids that are written in another way",
)
class FormatsQuery(Message, frozen=True):
    """skew_s: the partner's clock less the bank's, as measured by the probes."""

    formats: IdFormats
    skew_s: Seconds


@declared(
    "checkup.formats",
    content="lengths and kinds of characters of the partner's ids, shares in tenths; a keyed digest of its columns",
    purpose="find ids that are written in another way, and columns that have changed",
)
class Formats(Message, frozen=True):
    """schema: changes when names or types of the partner's columns do, and means nothing but that."""

    formats: IdFormats
    schema: Name

    def __post_init__(self) -> None:
        require_names(self.schema)


def formats_of(ids: Sequence[bytes]) -> IdFormats:
    """The formats of normalised ids (protocol/table/ids.py), a column."""
    looked_at = ids[:: max(1, len(ids) // MOST_ROWS)]
    columns = zip(*(_BETWEEN.split(value) for value in looked_at), strict=True)
    return tuple(_formats(column) for column in columns)


def _formats(values: Sequence[bytes]) -> tuple[Format, ...]:
    counted = Counter(_kind(value.decode()) for value in values)
    least = max(_FEWEST_ROWS, _SMALLEST_SHARE * len(values))
    shares = [(kind, length, n) for (kind, length), n in counted.most_common() if n >= least]
    return tuple(Format(kind, length, max(1, round(10 * n / len(values)))) for kind, length, n in shares)


def _kind(value: str) -> tuple[str, int]:
    """What an id is made of, and how long it is."""
    if value.isdecimal():
        return ("zero-padded digits" if value[0] == "0" and len(value) > 1 else "digits"), len(value)
    if value.isalnum():
        case = "upper-case " if value.isupper() else "lower-case " if value.islower() else ""
        return case + ("letters" if value.isalpha() else "letters and digits"), len(value)
    return "text with other characters", len(value)


def differences(ours: IdFormats, theirs: IdFormats, us: str, them: str) -> list[tuple[str, str]]:
    """How the ids of two parties are written differently: (thing, remedy) a column; none if their formats overlap."""
    if not ours or not theirs:
        return []
    if len(ours) != len(theirs):
        thing = f"has ids of {len(theirs)} columns, {us} of {len(ours)}"
        return [(thing, "name the same id columns at both nodes")]
    found = []
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        which = f" in id column {number}" if len(ours) > 1 else ""
        said = f"ids are {_said(other)}{which}, and at {us} {_said(mine)}"
        length, stripped = _stripped(mine, other, us, them)
        if stripped:
            remedy = f"set id_pad = {length} under [data] at both nodes, or write the ids as text at {stripped}"
            found.append((f"{said}: {stripped} has lost leading zeros", remedy))
        elif _case_alone(mine, other):
            remedy = 'set id_case = "fold" under [data] at both nodes'
            found.append((f"{said}: they differ by the case of letters", remedy))
        elif mine and other and not _overlap(mine, other):
            found.append((said, _remedy(mine, other, us, them)))
    return found


def _stripped(mine: Sequence[Format], other: Sequence[Format], us: str, them: str) -> tuple[int, str]:
    """Whose ids have lost zeros that the other side writes before digits of one length, and that length; "" if none."""
    for short, long, party in ((mine, other, us), (other, mine, them)):
        lengths = {f.length for f in long if f.kind.endswith("digits")}
        padded = any(f.kind == "zero-padded digits" for f in long) and len(lengths) == 1
        digits = {f.length for f in short if f.kind == "digits"}
        whole = any(f.kind == "zero-padded digits" for f in short)
        if padded and not whole and digits and min(digits) < min(lengths) and max(digits) <= min(lengths):
            return min(lengths), party
    return 0, ""


def _case_alone(mine: Sequence[Format], other: Sequence[Format]) -> bool:
    """Whether ids of some length have upper-case letters at one side only, and lower-case ones at the other only."""

    def of(case: str, formats: Sequence[Format]) -> set[tuple[str, int]]:
        return {(f.kind.removeprefix(case), f.length) for f in formats if f.kind.startswith(case)}

    upper, lower = "upper-case ", "lower-case "
    there = of(upper, mine) & of(lower, other) - of(upper, other) - of(lower, mine)
    here = of(lower, mine) & of(upper, other) - of(lower, other) - of(upper, mine)
    return bool(there | here)


def _overlap(mine: Sequence[Format], other: Sequence[Format]) -> bool:
    """Whether a format is common to both. Digits of one length are, whether or not some begin with a zero there."""

    def alike(formats: Sequence[Format]) -> set[tuple[str, int]]:
        padded = {(f.kind, f.length) for f in formats}
        return {(kind.removeprefix("zero-padded "), length) for kind, length in padded}

    return bool(alike(mine) & alike(other))


def _said(formats: Sequence[Format]) -> str:
    return " or ".join(f"{f.kind} of length {f.length}" for f in formats[:2])


def _remedy(mine: Sequence[Format], other: Sequence[Format], us: str, them: str) -> str:
    padded = [
        party for party, formats in ((them, other), (us, mine)) if any(f.kind.startswith("zero") for f in formats)
    ]
    if len(padded) == 1:
        return f"strip the zeros at {padded[0]}, or write the ids as text with them at the other"
    if {f.length for f in mine} == {f.length for f in other}:
        return "write the same characters at both: compare prefixes, separators and upper case"
    return "agree on one form: compare prefixes, lengths and the type of the column at both"
