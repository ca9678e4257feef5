"""Populations: who knows what about a borrower's risk, as a value that one can read, and tables drawn from it.

Every party has a risk of its own, z ~ N(0, 1), independent of the others': what only it can see. A borrower goes bad
with log-odds

    intercept + sum over parties of weight · skewed(z)

where skewed(z) is z, or a log-normal of it, scaled to mean 0 and sd 1: distress that is rare and then weighs heavily.
The intercept gives the share of bads that the population names. A column tells its party's risk and, by echo, the
bank's, the rest being noise:

    shape(clarity · z_own + echo · z_bank + sqrt(1 - clarity² - echo²) · noise)

so that what a partner adds is set by its weight, and how well it can be seen by its columns. A population's weights are
chosen by measurement, so that a federated training shows the uplift that is stated for it (docs/scenarios.md).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.data.generators.shapes import Shape, amount
from protocol.draws import draw
from protocol.messages import F64, I64
from protocol.table.dates import Grid

Columns = dict[str, npt.NDArray[Any]]
_FIRST = date(2023, 1, 31)
_EXPOSURE = amount(300_000, 1.0, -3)
"""Money at risk: in the hundreds of thousands."""


@dataclass(frozen=True)
class Told:
    """One column. clarity, echo: correlations of what is behind it with its party's risk and with the bank's.

    missing: share of rows without a value.
    """

    name: str
    shape: Shape
    clarity: float
    echo: float = 0.0
    missing: float = 0.0


@dataclass(frozen=True)
class Party:
    """What a party sees. weight: of its own risk in the log-odds. skew: of that risk, 0 for none. fade: share of its
    clarity that is gone at the end of the months; shift: by how many sd its columns have moved to the risky end by
    then, as if everybody had become riskier."""

    weight: float
    columns: tuple[Told, ...]
    skew: float = 0.0
    fade: float = 0.0
    shift: float = 0.0


@dataclass(frozen=True)
class Population:
    """Borrowers, each seen once, at the end of one of some months. bad: share of the bads.

    calibrated: the uplift stated for it, a metric's name and its value (of all partners). parties: the bank first.
    exposure: amount at risk.
    """

    bad: float
    calibrated: tuple[str, float]
    parties: Mapping[str, Party]
    months: int = 18
    exposure: Shape = _EXPOSURE

    def table(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """Columns by name: `id`, `observed` (date), `bad`, `exposure`, then the parties'.

        strength: of the partners' weights; 1 is as calibrated, 0 lets them know nothing of their own.
        """
        bank = next(iter(self.parties))
        risks = {name: draw(seed, "risk", name).standard_normal(rows) for name in self.parties}
        margin = np.zeros(rows)
        for name, party in self.parties.items():
            margin += (strength if name != bank else 1.0) * party.weight * _skewed(risks[name], party.skew)
        months = draw(seed, "month").integers(0, self.months, rows)
        table: Columns = {
            "id": np.array([f"C{k:07d}" for k in draw(seed, "id").permutation(rows * 7)[:rows]], dtype=object),
            "observed": self._dates(months),
            "bad": bads_of(margin, self.bad, seed),
            "exposure": self.exposure(draw(seed, "exposure").standard_normal(rows)),
        }
        age = months / max(1, self.months - 1)
        for name, party in self.parties.items():
            for told in party.columns:
                table[told.name] = column_of(told, party, risks[name], risks[bank] * (name != bank), age, seed)
        return table

    def _dates(self, months: I64) -> npt.NDArray[Any]:
        last = date(_FIRST.year + self.months // 12 + 1, 12, 31)
        points = Grid("month", _FIRST, last).points[: self.months]
        texts = np.array([str(point)[:10] for point in points], dtype=object)
        return texts[months]


def bads_of(margin: F64, share: float, seed: int) -> I64:
    """0 and 1, with about this share of 1: the intercept is found by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _odds(margin + middle).mean() < share else (low, middle)
    drawn = draw(seed, "bad").random(len(margin)) < _odds(margin + low)
    return drawn.astype(np.int64)


def _skewed(z: F64, skew: float) -> F64:
    """exp(skew · z), scaled to mean 0 and sd 1; z itself for 0."""
    if not skew:
        return z
    mean = math.exp(skew**2 / 2)
    scaled: F64 = (np.exp(skew * z) - mean) / (mean * math.sqrt(math.expm1(skew**2)))
    return scaled


def _odds(margin: F64) -> F64:
    return 1 / (1 + np.exp(-margin))


def column_of(told: Told, party: Party, own: F64, bank: F64, age: F64, seed: int) -> npt.NDArray[Any]:
    """One column's values; None where missing."""
    noise = draw(seed, "noise", told.name).standard_normal(len(own))
    clarity = told.clarity * (1 - party.fade * age)
    rest = np.sqrt(np.maximum(0.0, 1 - clarity**2 - told.echo**2))
    moved = math.copysign(party.shift, told.clarity) * age
    values = told.shape(clarity * own + told.echo * bank + rest * noise + moved)
    if told.missing:
        values = values.astype(object)
        values[draw(seed, "missing", told.name).random(len(own)) < told.missing] = None
    return values
