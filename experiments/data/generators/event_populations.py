"""Customers with a history of events: what a telecom operator or a tax bureau really holds.

A partner's events say two things about a customer that the bank does not know:

* distress, which aggregates see: in the months before the date looked at, events become rarer and amounts smaller, and
  more of them are of the bad type;
* habit, which only the order shows: events follow each other round a ring of types (a notice, then a top-up), or the
  same ring the other way (a top-up, then a notice). A walk round a ring and its reversal visit every type equally
  often, at the same times and for the same amounts, so that no count, sum or gap tells them apart.

A customer goes bad with log-odds `intercept + w_bank z_bank + strength (w_distress d + w_habit h)`. Distress and habit
are drawn for themselves; `strength` 0 leaves the events as they are and takes them out of the label: the twin without
signal.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experiments.data.generators.population import Columns, Party, Told, bads_of, column_of
from experiments.data.generators.shapes import amount
from protocol.draws import draw
from protocol.messages import F64, I64

OBSERVED: Final = "2024-06-30"
_MONTHS: Final = 24
_DAY: Final = 86_400


@dataclass(frozen=True)
class EventPopulation:
    """ring: types in the order in which habit goes round; bad_kind: the one that distress makes more frequent.

    rate: events a month. turn: the chance that the next event follows the ring, either way; else it is any type.
    amounts: median and spread by type. season: relative swing of the monthly rate over the year.
    weights: of the bank's risk, of distress and of habit. columns: the bank's.
    """

    bad: float
    ring: tuple[str, ...]
    bad_kind: int
    rate: float
    turn: float
    amounts: tuple[tuple[float, float], ...]
    weights: tuple[float, float, float]
    columns: tuple[Told, ...]
    season: float = 0.0
    prefix: str = "C"

    def table(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """The bank's table: `id`, `observed`, `bad`, `exposure`, its columns."""
        bank = draw(seed, "bank").standard_normal(rows)
        distress, habit = self._latent(rows, seed)
        of_bank, of_distress, of_habit = self.weights
        margin = of_bank * bank + strength * (of_distress * distress + of_habit * habit)
        table: Columns = {
            "id": self._ids(rows),
            "observed": np.array([OBSERVED] * rows, dtype=object),
            "bad": bads_of(margin, self.bad, seed),
            "exposure": amount(60_000, 0.8, -2)(draw(seed, "exposure").standard_normal(rows)),
        }
        party = Party(of_bank, self.columns)
        for told in self.columns:
            table[told.name] = column_of(told, party, bank, np.zeros(rows), np.zeros(rows), seed)
        return table

    def events(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """One row an event: `id`, `happened`, `type`, `amount`; the same events whatever the strength."""
        distress, habit = self._latent(rows, seed)
        owner, day, month = self._times(distress, seed)
        ended = np.maximum(0, month - (_MONTHS - 12)) / 12  # how far into the last year
        kind = self._walk(owner, habit, distress, ended, seed)
        medians, spreads = (np.array(values) for values in zip(*self.amounts, strict=True))
        size = draw(seed, "size").standard_normal(rows)[owner]
        level = 0.4 * size - 0.4 * distress[owner] * ended
        noise = draw(seed, "amount").standard_normal(len(owner))
        first = np.datetime64(OBSERVED, "M") - np.timedelta64(_MONTHS - 1, "M")
        seconds = draw(seed, "second").integers(8 * 3600, 22 * 3600, len(owner))
        happened = first.astype("datetime64[s]") + (day * _DAY + seconds).astype("timedelta64[s]")
        return {
            "id": self._ids(rows)[owner],
            "happened": happened[np.lexsort((happened, owner))],  # the walk goes along time
            "type": np.array(self.ring, dtype=object)[kind],
            "amount": np.round(medians[kind] * np.exp(level + spreads[kind] * noise), 2),
        }

    def _ids(self, rows: int) -> Any:
        return np.array([f"{self.prefix}{k:07d}" for k in range(rows)], dtype=object)

    def _latent(self, rows: int, seed: int) -> tuple[F64, F64]:
        """Distress and habit of each customer, N(0, 1) both."""
        return draw(seed, "distress").standard_normal(rows), draw(seed, "habit").standard_normal(rows)

    def _times(self, distress: F64, seed: int) -> tuple[I64, I64, I64]:
        """Customer, day and month of each event, in order of customer and month."""
        rows = len(distress)
        months = np.arange(_MONTHS)
        pace = np.exp(0.3 * draw(seed, "pace").standard_normal(rows))
        swing = 1 + self.season * np.sin(2 * np.pi * (months[None, :] / 12 + draw(seed, "season").random((rows, 1))))
        fading = np.exp(-0.5 * distress[:, None] * np.maximum(0, months - (_MONTHS - 12))[None, :] / 12)
        counts = draw(seed, "counts").poisson(self.rate * pace[:, None] * swing * fading)
        owner = np.repeat(np.arange(rows), counts.sum(axis=1))
        month = np.concatenate([np.repeat(months, row) for row in counts]) if rows else months[:0]
        return owner, month * 30 + draw(seed, "day").integers(0, 30, len(owner)), month

    def _walk(self, owner: I64, habit: F64, distress: F64, ended: F64, seed: int) -> I64:
        """The type of each event: a step round the ring from the last, forward the more often the higher the habit."""
        around, forward = len(self.ring), 1 / (1 + np.exp(-1.5 * habit[owner]))
        drawn = draw(seed, "walk")
        turns, ways = drawn.random(len(owner)) < self.turn, drawn.random(len(owner)) < forward
        anywhere = drawn.integers(0, around, len(owner))
        forced = drawn.random(len(owner)) < np.clip(0.06 * (1 + distress[owner] * ended), 0, 0.3)
        kind, last = np.empty(len(owner), dtype=np.int64), 0
        steps = np.where(turns, np.where(ways, 1, -1), 0).tolist()
        for k, (step, free, bad) in enumerate(zip(steps, anywhere.tolist(), forced.tolist(), strict=True)):
            last = self.bad_kind if bad else (last + step) % around if step else free
            kind[k] = last
        return kind
