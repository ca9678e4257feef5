"""Made-up tables: seeded, calibrated, and always called synthetic. docs/scenarios.md says what each one is held to."""

from collections.abc import Mapping
from typing import Final

from experiments.generators.beijing_real_estate import BEIJING_REAL_ESTATE
from experiments.generators.population import Population

GENERATORS: Final[Mapping[str, Population]] = {
    "beijing-real-estate": BEIJING_REAL_ESTATE,
}
"""By name, as a scenario's `source = {kind = "generated", generator = NAME}` gives it."""
