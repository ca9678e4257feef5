"""Benchmarks: each gives the ratio of our time to a stated reference's, both measured in one run."""

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by name: `benchmark_NAME` of the module NAME, imported when it is run (some need XGBoost)."""

    name: str

    @property
    def settings(self) -> tuple[str, ...]:
        """What it can be told."""
        return tuple(inspect.signature(self._work).parameters)

    def __call__(self, **settings: int) -> dict[str, Any]:
        """Measure; {"ratio", "ours_s", "reference_s", "threads", "settings"}."""
        result: dict[str, Any] = self._work(**settings)
        return result

    @property
    def _work(self) -> Any:
        return getattr(import_module(f"{__name__}.{self.name}"), f"benchmark_{self.name}")


_NAMES: Final = (
    "tree", "node", "integers", "engines", "align", "wire", "memory", "wide", "accuracy", "tables", "categories",
    "sharing", "score", "sealing", "verdicts", "discovery", "encoders",
)  # fmt: skip

BENCHMARKS: Final = {name: Benchmark(name) for name in _NAMES}
