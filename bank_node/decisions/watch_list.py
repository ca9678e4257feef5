"""The watch list: red and amber rows, worst first, each with its reasons. Alerts stay in memory until all are there.

Columns: id, band, score, pd, amount (empty where none is declared), reasons (joined by "; ", strongest first). Reasons
name partners' columns, so that no spreadsheet takes them for a formula.
"""

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.decisions.explaining import explain
from bank_node.decisions.reasons import reasons_of
from bank_node.family.scorer import ToldOf
from bank_node.models.bands import BANDS, GREEN, BandCuts, band_numbers, measured
from bank_node.models.calibration import pd_of
from bank_node.models.folder import ModelFolder
from protocol.errors import DataError, UsageError
from protocol.fields import as_cell
from protocol.files import writing_whole
from protocol.messages import F64
from protocol.table import Column

WATCH_LIST_FILE: Final = "watchlist.csv"
NUMBERED: Final = re.compile(r"column \d+")
"""What stands for the name of a partner's column that is not told; no name is like it."""
HEADER: Final = ("id", "band", "score", "pd", "amount", "reasons")


@dataclass(frozen=True)
class _Alert:
    """band: its number. measure: what the cut-offs are on. amount: nan where there is none."""

    id: str
    band: int
    measure: float
    score: float
    pd: float
    amount: float
    reasons: str

    @property
    def order(self) -> tuple[int, float, str]:
        """Red first, then by the measure; equal ones as everywhere, by the digest of the id."""
        return -self.band, -self.measure, hashlib.sha256(self.id.encode()).hexdigest()

    @property
    def line(self) -> tuple[object, ...]:
        """As it is written; floats exactly."""
        amount = "" if np.isnan(self.amount) else self.amount
        return self.id, BANDS[self.band], self.score, self.pd, amount, as_cell(self.reasons)


class WatchList:
    """The alerts of one model, part by part."""

    def __init__(self, folder: ModelFolder) -> None:
        """Raises: UsageError: the model was trained without bands."""
        bands, calibration = folder.about.bands, folder.about.calibration
        if not isinstance(bands, BandCuts) or calibration is None:
            raise UsageError("model", "it has no bands", "train it with [bands] in the scenario")
        self._folder, self._cuts, self._calibration = folder, bands, calibration
        self._alerts: list[_Alert] = []

    def add(
        self, ids: Sequence[bytes], score: F64, amount: F64 | None, columns: Mapping[str, Column], told: ToldOf
    ) -> None:
        """Look at some rows, n of them. columns, told: as in scoring, over these rows.

        Raises: DataError: the bands go by amounts, and a row has none.
        """
        if self._cuts.rule == "expected-loss" and (amount is None or bool(np.isnan(amount).any())):
            thing = "the bands go by expected loss, and a row has no amount"
            raise DataError(self._folder.about.bank, thing, "give every row its amount, not negative")
        pd = pd_of(self._calibration, score)
        measure = measured(self._cuts, score, pd, amount)
        band = band_numbers(self._cuts, measure)
        here = np.flatnonzero(band > GREEN)
        reasons = self._reasons(columns, told, band > GREEN)
        money = np.full(len(score), np.nan) if amount is None else amount
        figures = (each[here].tolist() for each in (band, measure, score, pd, money))
        named = [ids[int(row)].decode() for row in here]
        self._alerts += [_Alert(*alert) for alert in zip(named, *figures, reasons, strict=True)]

    def write(self, path: Path) -> int:
        """All alerts, worst first; how many."""
        with writing_whole(path) as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(HEADER)
            lines.writerows(alert.line for alert in sorted(self._alerts, key=lambda alert: alert.order))
        return len(self._alerts)

    def _reasons(self, columns: Mapping[str, Column], told: ToldOf, alerted: npt.NDArray[np.bool_]) -> list[str]:
        """Of the rows alerted."""
        few = {name: column.rows(alerted) for name, column in columns.items()}
        found = explain(self._folder, few, {p: part.rows(alerted) for p, part in told.items()}, int(alerted.sum()))
        bank = self._folder.about.bank
        hidden = {f for f in found.features if f[0] != bank and (not f[1] or NUMBERED.fullmatch(f[1]))}
        card = self._folder.scorecard
        shares = found.shares * card.scale.factor if card else found.shares  # points below the average customer's
        return ["; ".join(map(str, why)) for why in reasons_of(found.features, shares, hidden)]
