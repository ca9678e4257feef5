"""What is said of a table before it is read: where it lies, and what its columns mean."""

import codecs
import datetime as dt
import hashlib
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from protocol.settings.added_keys import Section
from protocol.settings.preparation import Preparation
from protocol.settings.toml import resolve
from protocol.table.ids import IdCase, IdRule

Sentinel = str | int | float


def _require_distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((value for k, value in enumerate(values) if value in values[:k]), None)
    if twice is not None:
        raise ValueError(f"a list of ordered values has {twice!r} twice; list each value once, the lowest first")
    return values


Listed = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_require_distinct)]
Order = Literal["by_name"] | Listed
Grades = dict[str, Order]
"""Columns of grades: the values of each, lowest first, or "by_name": as their names are sorted."""


Kind = Literal["csv", "parquet", "xlsx", "sql"]


class Source(Section):
    """Where a table lies. kind: csv (also .gz), parquet, xlsx or sql. sha256: of the file, checked if given.

    snapshot: the day on which its records were drawn; none is dated later. "" = what a Parquet file says itself.
    encoding: of a CSV: "auto" is UTF-8, UTF-16 by its byte order mark, or GB18030; else a name that Python knows.
    sheet: of a workbook; "" for its first one.
    uri, query, max_rows: of a database (kind sql): `env:NAME` or `file:PATH`, where its URI with the password stands;
    what is selected, and how many rows at most. It is read once, into a snapshot (protocol/table/snapshots.py).
    """

    ADDED: ClassVar = ("encoding", "sheet", "uri", "query", "max_rows")

    kind: Kind
    path: Path = Path()
    sha256: str = ""
    snapshot: dt.date | Literal[""] = ""
    encoding: str = "auto"
    sheet: str = ""

    uri: str = ""
    query: str = ""
    max_rows: int = Field(10_000_000, ge=1)

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Source":
        if self.kind != "sql" and (self.uri or self.query):
            raise ValueError('uri and query are of a database; write kind = "sql"')
        if self.kind != "sql" and not self.path.name:
            raise ValueError("a source needs the path of its file")
        if self.kind == "sql" and not self.query.strip(" \n;"):
            raise ValueError('a source of kind "sql" needs a query, such as query = "select * from features"')
        return self

    @field_validator("uri")
    @classmethod
    def _by_reference(cls, uri: str) -> str:
        """A URI holds a password, and this file is copied, committed and shown: it only says where the URI stands."""
        if uri and not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", uri):
            raise ValueError(
                "a uri is not written out, since it may hold a password; put it into an environment variable and "
                'write uri = "env:NAME", or into a file of its own and write uri = "file:PATH"'
            )
        return uri

    def beside(self, file: Path, snapshots: Path) -> "Source":
        """The source with its paths taken relative to a file of settings. snapshots: the folder of a database's."""
        if self.kind != "sql":
            return self.model_copy(update={"path": resolve(self.path, file)})
        uri = self.uri
        if uri.startswith("file:"):
            uri = f"file:{resolve(Path(uri.removeprefix('file:')), file)}"
        name = hashlib.sha256(f"{uri}\n{self.query}".encode()).hexdigest()[:16]
        return self.model_copy(update={"uri": uri, "path": snapshots / f"query-{name}.parquet"})

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return name if name == "auto" else codecs.lookup(name).name
        except LookupError:
            raise ValueError(f'{name!r} is no encoding; write "auto", "gb18030", "utf-16" or "latin-1"') from None


class TableSpec(BaseModel):
    """How to read a table. columns: features, all the others if None. Names of special columns, "" if none.

    task: what the label is: binary (0 or 1), regression (a number) or multiclass (0, 1, 2, ..).
    ordered: columns of grades, whose values are listed lowest first, or stand in the order of their names.
    dates, further_numbers: further columns that are no features, and may be empty.
    numbers: whether text that stands for numbers or dates is read as such ("auto"), or as categories ("strict").
    label_bad, label_good: values of a binary label that mean 1 and 0, where they are others.
    id_case, id_pad: how ids are made alike (protocol/table/ids.py).
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
    further_numbers: tuple[str, ...] = ()
    numbers: Literal["auto", "strict"] = "auto"
    label_bad: tuple[Sentinel, ...] = ()
    label_good: tuple[Sentinel, ...] = ()
    id_case: IdCase = "fold"
    id_pad: int = Field(0, ge=0, le=64)
    task: Literal["binary", "regression", "multiclass"] = "binary"
    monotone: dict[str, Literal[-1, 1]] = {}
    prepare: dict[str, Preparation] = {}

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no features."""
        single = (self.label, self.weight, self.amount, self.time, self.as_of, self.part)
        return (*self.id, *(c for c in single if c), *self.dates, *self.further_numbers)

    def found_by_values(self, column: str) -> bool:
        """Whether a column of categories is one by its values, and not because it was said to be."""
        return self.categorical == "auto" and column not in self.ordered

    @property
    def id_rule(self) -> IdRule:
        """How ids are made alike."""
        return IdRule(self.id_case, self.id_pad)
