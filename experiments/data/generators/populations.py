"""The populations that scenarios draw from. `calibrated` is what docs/scenarios.md states and how it was measured."""

from collections.abc import Mapping
from typing import Final

from experiments.data.generators.columns import BANK, COURTS, PROCUREMENT, REAL_ESTATE, TAX
from experiments.data.generators.population import Party, Population, Told
from experiments.data.generators.shapes import level

_BANK: Final = Party(1.8, BANK)
_BADS: Final = 0.10
_SKEW: Final = 0.8


def _with(uplift: tuple[str, float], **partners: Party) -> Population:
    """The bank and some partners."""
    parties = {name.replace("_", " "): party for name, party in partners.items()}
    return Population(_BADS, uplift, {"bank": _BANK, **parties})


def _source(number: int) -> Party:
    """One of many small partners: two columns."""
    names = f"source_{number:02d}_a", f"source_{number:02d}_b"
    return Party(0.24, tuple(Told(name, level(0.0, 1.0), 0.7) for name in names))


POPULATIONS: Final[Mapping[str, Population]] = {
    "beijing-real-estate": _with(("precision@0.05", 0.04), real_estate=Party(0.68, REAL_ESTATE, _SKEW)),
    "tax-bureau": _with(("auc", 0.04), tax_bureau=Party(0.95, TAX, _SKEW)),
    "procurement": _with(("auc", 0.02), procurement=Party(0.66, PROCUREMENT, _SKEW)),
    "three-partners": _with(
        ("auc", 0.05),
        tax_bureau=Party(0.7, TAX, _SKEW),
        real_estate=Party(0.7, REAL_ESTATE, _SKEW),
        courts=Party(0.6, COURTS, _SKEW),
    ),
    "thirty-partners": _with(("auc", 0.025), **{f"source_{k:02d}": _source(k) for k in range(1, 31)}),
    "drift": _with(("auc", 0.01), tax_bureau=Party(0.95, TAX, _SKEW, fade=0.8, shift=0.8)),
    "poor-overlap": _with(("auc", 0.015), tax_bureau=Party(0.95, TAX, _SKEW)),
    "no-signal": _with(("auc", 0.0), platform=Party(0.0, tuple(Told(t.name, t.shape, 0.0) for t in PROCUREMENT))),
}
"""By name, as a scenario's `source = {kind = "generated", generator = NAME}` gives it."""
