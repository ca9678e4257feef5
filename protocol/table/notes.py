"""Notes on a table: what was read otherwise than it is written, or dropped. They stay with the table's own party."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from protocol.table.texts import ReadAs

Rule = Literal[
    "encoding", "number", "number_missing", "days", "days_before", "moment", "label", "unique", "empty", "constant",
    "id_exponent", "id_rounded", "id_folded", "id_padded",
]  # fmt: skip
SENTENCES: Final[dict[Rule, str]] = {
    "encoding": "{file}: read as {encoding}",
    "number": "{column}: read as a number",
    "number_missing": "{column}: read as a number; {rows} value{s} {words} taken as missing",
    "days": "{column}: read as days before {newest}, its newest date",
    "days_before": "{column}: read as days before the row's own date",
    "moment": "{column}: read as its hour and its day of the week",
    "label": "{column}: {rows} rows are bad and {others} good, by label_bad and label_good",
    "unique": "{column}: dropped, since most of its {rows} values occur once",
    "empty": "{column}: dropped, since it has no value in any of {rows} rows",
    "constant": "{column}: dropped, since it has one value in all of {rows} rows",
    "id_exponent": (
        "{column}: {rows} of {others} ids ({share}), at {places}, look like a spreadsheet's exponent (1.23457E+11)"
    ),
    "id_rounded": (
        "{column}: all {rows} ids of more than 15 digits are numbers that a float can hold, as if they had been "
        "through one and lost their last digits"
    ),
    "id_folded": "{column}: {rows} ids differ from what is written by letter case, width or blanks (id_case)",
    "id_padded": "{column}: zeros were written before {rows} ids (id_pad)",
}


REMEDIES: Final[dict[Rule, str]] = {
    "id_exponent": "export the column as text",
    "id_rounded": "export the column as text, if they have",
}
"""What to do about what is likely wrong, by its rule."""
_MOST_LINES: Final = 40


class Note(msgspec.Struct, frozen=True):
    """One thing that was read otherwise than it is written, or dropped. column: "" for the file. rows: concerned.

    about: what else the sentence says, by the names in `SENTENCES`.
    """

    column: str
    rule: Rule
    rows: int
    about: dict[str, str] = {}

    @property
    def values(self) -> dict[str, str]:
        """All that the sentence says."""
        return {"column": self.column, "rows": f"{self.rows:,}", "s": "" if self.rows == 1 else "s", **self.about}

    @property
    def fact(self) -> str:
        """In English, without the remedy."""
        return SENTENCES[self.rule].format(**self.values)

    @property
    def remedy(self) -> str:
        """What to do about it; "" where nothing is likely wrong."""
        return REMEDIES.get(self.rule, "")

    @property
    def text(self) -> str:
        """In English."""
        return f"{self.fact}: {self.remedy}" if self.remedy else self.fact


def lines_of(party: str, notes: Sequence[Note], more: str) -> list[str]:
    """What a console says of a party's notes. more: where the rest stands, if there are many."""
    said = [f"{party}: {note.text}" for note in notes[:_MOST_LINES]]
    rest = len(notes) - len(said)
    return [*said, *([f"{party}: and {rest} more columns were read otherwise or dropped: {more}"] if rest else [])]


def note_of(column: str, read: ReadAs, missing: Mapping[str, int], rows: int, dated: bool) -> Note | None:
    """What is said of a column of text or dates. missing: rows by value. rows: with a value. dated: rows have dates."""
    if read.kind == "category":
        return None
    if read.kind == "number" and not missing:
        return Note(column, "number", rows)
    if read.kind == "number":
        return Note(column, "number_missing", sum(missing.values()), {"words": _listed(missing)})
    if read.kind == "moment":
        return Note(column, "moment", rows)
    return Note(column, "days_before" if dated else "days", rows, {"newest": read.newest})


def _listed(missing: Mapping[str, int]) -> str:
    """The most frequent value, and how many others there are; a value that holds a digit is not shown."""
    words = sorted((v for v in missing if not any(c.isdigit() for c in v)), key=lambda v: (-missing[v], v))[:3]
    others = len(missing) - len(words)
    parts = [f"'{word[:40]}'" for word in words] + ([f"{others} other{'s' if others > 1 else ''}"] if others else [])
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
