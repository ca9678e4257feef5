"""Where the project's own scenarios lie."""

from pathlib import Path
from typing import Final

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
