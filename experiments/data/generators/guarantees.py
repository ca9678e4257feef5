"""Companies that stand in for each other: distress spreads along guarantees.

Companies fall into groups (owners, districts, trades), and most guarantees stay within one. Every company has a
distress of its own, z ~ N(0, 1). Who stands in for a company in distress pays for it, so that what weighs on a
company is

    s_0 = z,   s_(k+1) = z + spread * mean of s_k over those for whom it stands in,   s = s_3

and it goes bad with log-odds `intercept + w_bank z_bank + strength * w * (s - z)`: only what came by the chain counts,
and none of it is in the bank's columns. The partner, a register, knows who stands in for whom, since when and for how
much, and how many claims a company has against it, a count that follows z with noise. `strength` 0 leaves the graph
as it is and takes it out of the label.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from experiments.data.generators.columns import BANK
from experiments.data.generators.population import Columns, Party, Told, bads_of, column_of
from experiments.data.generators.shapes import amount
from protocol.draws import draw
from protocol.messages import F64, I64

OBSERVED: Final = "2024-06-30"
_DAYS: Final = 1080
_GROUP: Final = 25
_ROUNDS: Final = 3


@dataclass(frozen=True)
class GuaranteeChain:
    """each: guarantees a company on the mean. within: share that stays in its group. weights: of the bank's risk and of
    the chain's. clarity: correlation of the claims with distress."""

    bad: float = 0.10
    each: float = 3.0
    within: float = 0.8
    spread: float = 0.9
    weights: tuple[float, float] = (1.8, 1.2)
    clarity: float = 0.8
    columns: tuple[Told, ...] = BANK

    def table(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """The bank's table: `id`, `observed`, `bad`, `exposure`, its columns."""
        bank, distress = draw(seed, "bank").standard_normal(rows), self._distress(rows, seed)
        first, second, _ = self._pairs(rows, seed)
        of_bank, of_chain = self.weights
        margin = of_bank * bank + strength * of_chain * (self._chain(distress, first, second) - distress)
        table: Columns = {
            "id": _ids(rows),
            "observed": np.array([OBSERVED] * rows, dtype=object),
            "bad": bads_of(margin, self.bad, seed),
            "exposure": amount(300_000, 1.0, -3)(draw(seed, "exposure").standard_normal(rows)),
        }
        party = Party(of_bank, self.columns)
        for told in self.columns:
            table[told.name] = column_of(told, party, bank, np.zeros(rows), np.zeros(rows), seed)
        return table

    def edges(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """One row a guarantee: `guarantor`, `borrower`, `since`, `amount`."""
        first, second, since = self._pairs(rows, seed)
        days = (np.datetime64(OBSERVED) - since.astype("timedelta64[D]")).astype("datetime64[s]")
        size = draw(seed, "guaranteed").standard_normal(len(first))
        ids = _ids(rows)
        return {
            "guarantor": ids[first],
            "borrower": ids[second],
            "since": days,
            "amount": np.round(500_000 * np.exp(0.8 * size), -3),
        }

    def nodes(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """One row a company: `id`, `recorded`, `claims`."""
        noise = draw(seed, "claims").standard_normal(rows)
        clear = self.clarity * self._distress(rows, seed) + np.sqrt(1 - self.clarity**2) * noise
        recorded = np.full(rows, np.datetime64(OBSERVED) - np.timedelta64(20, "D")).astype("datetime64[s]")
        return {"id": _ids(rows), "recorded": recorded, "claims": np.floor(np.exp(0.9 * clear))}

    def _distress(self, rows: int, seed: int) -> F64:
        return draw(seed, "distress").standard_normal(rows)

    def _pairs(self, rows: int, seed: int) -> tuple[I64, I64, I64]:
        """Guarantor, borrower, and days before the day looked at; nobody stands in for itself."""
        drawn = draw(seed, "guarantees")
        first = np.repeat(np.arange(rows), drawn.poisson(self.each * np.exp(0.5 * drawn.standard_normal(rows) - 0.125)))
        group = first // _GROUP * _GROUP
        near = np.minimum(group + drawn.integers(0, _GROUP, len(first)), rows - 1)
        second = np.where(drawn.random(len(first)) < self.within, near, drawn.integers(0, rows, len(first)))
        apart = first != second
        return first[apart], second[apart], drawn.integers(1, _DAYS, len(first))[apart]

    def _chain(self, distress: F64, first: I64, second: I64) -> F64:
        count = np.maximum(np.bincount(first, minlength=len(distress)), 1)
        found = distress
        for _ in range(_ROUNDS):
            found = distress + self.spread * np.bincount(first, weights=found[second], minlength=len(distress)) / count
        return found


def _ids(rows: int) -> npt.NDArray[Any]:
    return np.array([f"G{k:07d}" for k in range(rows)], dtype=object)
