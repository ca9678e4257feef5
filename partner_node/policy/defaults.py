"""How long and how often an approval holds where the operator says nothing."""

from typing import Final

DAYS: Final = 90
USES: Final = 2
