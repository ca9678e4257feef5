"""The event populations that scenarios draw from, their weights chosen by measurement (docs/learned-columns.md)."""

from collections.abc import Mapping
from typing import Final

from experiments.data.generators.columns import ACCOUNT, BANK
from experiments.data.generators.event_populations import EventPopulation

EVENTS: Final[Mapping[str, EventPopulation]] = {
    "telecom-events": EventPopulation(
        bad=0.10,
        ring=("low-balance notice", "top-up", "calls", "data"),
        bad_kind=0,
        rate=2.5,
        turn=0.7,
        amounts=((1.0, 0.1), (50.0, 0.5), (12.0, 0.9), (800.0, 1.0)),
        weights=(1.8, 0.8, 0.5),
        columns=ACCOUNT,
    ),
    "tax-invoices": EventPopulation(
        bad=0.10,
        ring=("invoice cancelled", "invoice issued", "invoice received", "tax paid"),
        bad_kind=0,
        rate=2.5,
        turn=0.7,
        amounts=((40_000.0, 0.9), (60_000.0, 0.8), (45_000.0, 0.8), (9_000.0, 0.6)),
        weights=(1.8, 0.8, 0.5),
        columns=BANK,
        season=0.5,
        prefix="T",
    ),
}
"""By name, as a scenario's `source = {kind = "generated", generator = NAME}` gives it."""
