"""Listings: what the API tells, as a table to a reader and as a list of dictionaries to a program."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, overload

Row = Mapping[str, Any]


class Listing(Sequence[Row]):
    """Rows of named values, all with the same names. `pandas.DataFrame(listing)` takes it as it is."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = [dict(row) for row in rows]

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Listing": ...
    def __getitem__(self, index: int | slice) -> "Row | Listing":
        return Listing(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def columns(self) -> list[str]:
        """Names of the values, in order."""
        return list(self._rows[0]) if self._rows else []

    def __repr__(self) -> str:
        """Aligned text: numbers to the right."""
        if not self._rows:
            return "(nothing yet)"
        lines = [self.columns, *([shown(value) for value in row.values()] for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = [_is_number(value) for value in self._rows[0].values()]
        return "\n".join("  ".join(_padded(*cell) for cell in zip(line, widths, right, strict=True)) for line in lines)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in self._rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shown(value: object) -> str:
    """A value as a reader sees it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _padded(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cell(value: object) -> str:
    side = "right" if _is_number(value) else "left"
    return f"<td style='text-align:{side}'>{escape(shown(value))}</td>"
