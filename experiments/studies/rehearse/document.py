"""`rehearsal.json`: what a contract year came to, month by month."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

FILE: Final = "rehearsal.json"


class Told(BaseModel):
    """What one partner has told by the end of a month.

    information_share: of its bins, for life. told_anew: bits a row, within a year. refreshes: versions told.
    lookups: ids evaluated so far, in alignments, refreshes and look-ups. readable_share: at worst.
    """

    model_config = ConfigDict(frozen=True)

    information_share: float
    told_anew: float
    refreshes: int
    lookups: int
    readable_share: float


class Month(BaseModel):
    """One month. auc: of that month's newcomers; None of month 0, or where they are of one class.

    known, new: customers scored. alerts: of them, at the capacity. changed: by partner, customers whose rows changed.
    absent: partners that could not be asked. exchanges: with partners, by what for. unchanged: rows whose inputs did
    not change, and of these, how many scores did. refused: sentences. seconds: of wall clock.
    """

    model_config = ConfigDict(frozen=True)

    month: int
    known: int
    new: int
    auc: float | None
    alerts: int
    changed: dict[str, int]
    absent: list[str]
    exchanges: dict[str, int]
    unchanged: int
    unchanged_scores_moved: int
    refitted: bool
    refused: list[str]
    told: dict[str, Told]
    books_equal: bool
    seconds: float


class Rehearsal(BaseModel):
    """The whole year. drift: the stated model of how tables change. plays, plays_not: of what a year may bring."""

    model_config = ConfigDict(frozen=True)

    scenario: str
    synthetic: bool
    order: str
    book: float
    drift: float
    months: list[Month]
    books_equal: bool
    plays: list[str]
    plays_not: list[str]

    def write(self, folder: Path) -> Path:
        """Leave it in a folder."""
        path = folder / FILE
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return path
