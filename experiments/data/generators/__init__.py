"""Made-up tables: seeded, calibrated, and always called synthetic. docs/scenarios.md says what each one is held to."""

from collections.abc import Mapping
from typing import Final, Protocol

from experiments.data.generators.event_scenarios import EVENTS
from experiments.data.generators.guarantees import GuaranteeChain
from experiments.data.generators.population import Columns
from experiments.data.generators.populations import POPULATIONS
from experiments.data.generators.watched import WatchedLoans


class Generator(Protocol):
    """What a source of kind `generated` names."""

    def table(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """Columns by name. strength: of what partners know, 1 as calibrated."""
        ...


GENERATORS: Final[Mapping[str, Generator]] = {
    **POPULATIONS,
    **EVENTS,
    "guarantee-chain": GuaranteeChain(),
    "watched-loans": WatchedLoans(),
}

__all__ = ["EVENTS", "GENERATORS", "POPULATIONS", "Generator"]
