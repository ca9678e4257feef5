"""Types of what a peer sends: each says what it may be, and the codec refuses anything else before it is used.

Names and sentences are printable text of one line; identifiers are digests in hexadecimal, so that none of them can
lead out of a folder; numbers have ranges; arrays have declared axes, lengths and values.
"""

import json
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Meta

Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 in hexadecimal. `$` would let a line end follow it."""
DigestOrNone = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""The same, or "" for none."""
Nonce = Annotated[bytes, Meta(min_length=32, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
NameOrNone = Annotated[str, Meta(max_length=200)]
Sentence = Annotated[str, Meta(max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Rows = Annotated[int, Meta(ge=0, le=1 << 28)]
Share = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-1.7976931348623157e308, le=1.7976931348623157e308)]
Seconds = Annotated[float, Meta(ge=-1e12, le=1e12)]
Keys = Annotated[bytes, Meta(max_length=1 << 28)]
"""Public keys of an engine for comparison."""

_UNSHOWN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Control, format (bidirectional marks among them), surrogate, private, unassigned; line and paragraph separators."""
_MARKUP: Final = "<>"
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula; some read the full-width forms as well."""


def printable(text: str) -> bool:
    """Whether a text has no character that a terminal or a page would take for more than a character."""
    return not any(unicodedata.category(letter) in _UNSHOWN for letter in text)


def as_shown(text: str, most: int = 1000) -> str:
    """A text of a peer's as it may be shown: one line of printable characters, cut to a length."""
    shown = "".join(
        letter if unicodedata.category(letter) not in _UNSHOWN else f"\\u{{{ord(letter):x}}}" for letter in text[:most]
    )
    return shown if max(len(text), len(shown)) <= most else f"{shown[:most]}..."


def as_cell(text: str) -> str:
    """A text of a peer's as a cell of a CSV file: no spreadsheet takes it for a formula."""
    shown = as_shown(text, 10_000)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def as_shown_in_json(line: str) -> str:
    """The same JSON, in which characters that cannot be shown are escaped."""
    if printable(line):
        return line
    return "".join(letter if printable(letter) else json.dumps(letter)[1:-1] for letter in line)


def require_names(*names: str) -> None:
    """Raises: ValueError: a name has markup, or a character that cannot be shown."""
    for name in names:
        if not printable(name) or any(letter in _MARKUP for letter in name):
            raise ValueError("a name that cannot be shown")


def require_printable(*texts: str) -> None:
    """Raises: ValueError: a text has a character that cannot be shown."""
    if not all(printable(text) for text in texts):
        raise ValueError("a text that cannot be shown")


def require_finite(values: Iterable[float]) -> None:
    """Raises: ValueError: a number is none, or infinite."""
    if not all(np.isfinite(value) for value in values):
        raise ValueError("a number that is not finite")


def require_array(
    array: npt.NDArray[Any], *axes: int | None, least: int | None = None, most: int | None = None
) -> None:
    """Raises: ValueError: other axes than declared, or values out of range. axes: lengths, None for any."""
    if array.ndim != len(axes) or any(n is not None and n != k for n, k in zip(axes, array.shape, strict=True)):
        raise ValueError("an array of other axes than declared")
    if array.size and least is not None and int(array.min()) < least:
        raise ValueError("an array with values out of range")
    if array.size and most is not None and int(array.max()) > most:
        raise ValueError("an array with values out of range")
