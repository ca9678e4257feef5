"""Where rows come from: the table, what each party brings, and which rows are trained on and tested."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from protocol.job.encode import Encode
from protocol.settings.added_keys import Section
from protocol.settings.preparation import Preparation
from protocol.table import Grades, Sentinel, Source
from protocol.table.dates import Periods
from protocol.table.ids import IdCase, IdRule

ALL_COLUMNS: Final = "*"
"""Among the columns of a party: every feature of the table that it brings."""


class Title(Section):
    """A title in both languages of the report."""

    en: str
    zh: str


class JobData(Section, Periods):
    """[data]: one table that is dealt out; or, without source, what the columns of the parties' own tables mean.

    as_of: the date of a row; partners answer by what they knew then. period, first, last: the grid of points in time.
    ordered: columns of grades, of whichever party; a value a grade, or "by_name".
    numbers, label_bad, label_good, id_case, id_pad: as a node reads its table (protocol/table/spec.py).
    """

    ADDED: ClassVar = ("period", "first", "last", "ordered", "numbers", "label_bad", "label_good", "id_case", "id_pad")

    source: Source | None = None
    id: tuple[str, ...] = Field(min_length=1)
    as_of: str = ""
    label: str
    time: str = ""
    weight: str = ""
    amount: str = ""
    missing: tuple[Sentinel, ...] = ("",)
    categorical: Literal["auto"] | tuple[str, ...] = "auto"
    ordered: Grades = Field({})
    numbers: Literal["auto", "strict"] = "auto"
    label_bad: tuple[Sentinel, ...] = ()
    label_good: tuple[Sentinel, ...] = ()
    id_case: IdCase = "fold"
    id_pad: int = Field(0, ge=0, le=64)

    @property
    def id_rule(self) -> IdRule:
        """How ids are made alike at every party."""
        return IdRule(self.id_case, self.id_pad)

    @property
    def special(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return (*self.id, *(c for c in (self.label, self.time, self.as_of, self.weight, self.amount) if c))


class JobParty(Section):
    """[parties.X]: its columns; the bank may have none but ids and labels.

    title: what pages call it, in one language or in both.
    coverage, strangers: what it holds, and holds besides, as shares of the bank's rows.

    source, id: where a party brings its own table. monotone: a partner's own columns by direction; only the partner
    is told, the bank learns which of its column numbers have one. names: what a report calls a column; a partner's
    other columns go by number. tell_bins: a partner's named columns of which the bank is told what lies in a bin.
    encode: its columns are made of events or edges before a table is dealt out.
    prepare: what its own columns go through as numbers of a linear model, where it is not what [preparation] says.
    """

    ADDED: ClassVar = ("title", "as_of", "monotone", "names", "tell_bins", "prepare", "encode")

    title: str | Title = ""
    columns: tuple[str, ...] = ()
    coverage: float = Field(default=1.0, gt=0, le=1)
    strangers: float = Field(default=0.0, ge=0, le=10)
    source: Source | None = None
    id: tuple[str, ...] = ()
    as_of: str = ""
    monotone: dict[str, Literal[-1, 1]] = Field({})
    names: dict[str, str] = Field({})
    tell_bins: tuple[str, ...] = ()
    prepare: dict[str, Preparation] = Field({})
    encode: Encode | None = None


class Split(Section):
    """[split]: which rows are trained on, judged for early stopping, and tested.

    test: share of the rows; 0 is for the Python API, which tests on rows of its own. folds: of
    the training rows, besides; repeats: how many times they are cut, each time anew. By time:
    embargo, days before a later part whose rows take no part; in_time, share of the rows left to
    train on that are drawn to be tested beside the newest.
    """

    ADDED: ClassVar = ("embargo", "folds", "repeats")

    kind: Literal["random", "time", "column"] = "random"
    column: str = ""
    test: float = Field(default=0.25, ge=0, lt=1)
    validation: float = Field(default=0.0, ge=0, lt=1)
    seed: int = 7
    embargo: float = Field(default=0.0, ge=0, le=36_525)
    in_time: float = Field(default=0.1, ge=0, lt=1)
    folds: int = Field(default=0, ge=0, le=20)
    repeats: int = Field(default=1, ge=1, le=20)
