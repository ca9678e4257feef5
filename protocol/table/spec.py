"""What is said of a table before it is read: where it lies, and what its columns mean."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from protocol.settings.preparation import Preparation

Sentinel = str | int | float


def _require_distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((value for k, value in enumerate(values) if value in values[:k]), None)
    if twice is not None:
        raise ValueError(f"a list of ordered values has {twice!r} twice; list each value once, the lowest first")
    return values


Listed = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_require_distinct)]
Grades = dict[str, Literal["by_name"] | Listed]
"""Columns of grades: the values of each, lowest first, or "by_name": as their names are sorted."""


class Source(BaseModel):
    """Where a table lies. kind: csv (also .gz) or parquet. sha256: of the file, checked if given.

    snapshot: the day on which its records were drawn; none is dated later. "" = what a Parquet file says itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["csv", "parquet"]
    path: Path
    sha256: str = ""
    snapshot: dt.date | Literal[""] = ""


class TableSpec(BaseModel):
    """How to read a table. columns: features, all the others if None. Names of special columns, "" if none.

    task: what the label is: binary (0 or 1), regression (a number) or multiclass (0, 1, 2, ..).
    ordered: columns of grades, whose values are listed lowest first, or stand in the order of their names.
    dates, numbers: further columns that are no features, and may be empty.
    monotone: a partner's own columns by direction: 1 where risk must not fall as the column grows, -1 not rise.
    prepare: what a partner's own columns go through as numbers of a linear model, where it is not what the job says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    label: str = ""
    weight: str = ""
    amount: str = ""
    time: str = ""
    as_of: str = ""
    part: str = ""
    missing: tuple[Sentinel, ...] = ("",)
    categorical: Literal["auto"] | tuple[str, ...] = "auto"
    ordered: Grades = {}
    dates: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    task: Literal["binary", "regression", "multiclass"] = "binary"
    monotone: dict[str, Literal[-1, 1]] = {}
    prepare: dict[str, Preparation] = {}

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no features."""
        single = (self.label, self.weight, self.amount, self.time, self.as_of, self.part)
        return (*self.id, *(c for c in single if c), *self.dates, *self.numbers)
