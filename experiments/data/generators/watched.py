"""Loans followed month by month until they default: what a watch list is tried on.

One row a loan and month end, as long as it is performing and its whole performance window was seen; about one loan in
four defaults. Signals turn abnormal about twelve months before, first at suppliers, then on the account (Norden and
Weber, RFS 2010): from then on a trade credit bureau's columns climb, and the bank's `limit_use` half a year later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from bank_node.training.outcome.watched_rows import months_after
from experiments.data.generators.population import Columns
from protocol.draws import draw
from protocol.table.dates import Grid

COLUMNS: Final = (
    "loan", "as_of", "bad", "defaulted_on", "opened_on", "balance", "turnover", "limit_use", "late_bills", "headcount",
    "days_beyond_terms", "credit_refusals",
)  # fmt: skip
PERFORMANCE: Final = 12
"""Months after a row's date in which a default makes it bad."""


@dataclass(frozen=True)
class WatchedLoans:
    """months: that are seen, of which the last `PERFORMANCE` only as the windows of rows before them."""

    months: int = 48

    def table(self, rows: int, seed: int, strength: float = 1.0) -> Columns:
        """Columns by name, at most `rows` of them; dates as texts, empty where a loan does not default.

        strength: of what the trade credit bureau's columns say of a coming default.
        """
        loans = rows // (self.months - PERFORMANCE)
        made = [row for loan in range(loans) for row in self._loan(loan, seed, strength)]
        return {name: np.array(values) for name, values in zip(COLUMNS, zip(*made, strict=True), strict=True)}

    def _loan(self, loan: int, seed: int, strength: float) -> Iterator[tuple[Any, ...]]:
        """A loan's rows, month by month, until it defaults or the months end."""
        draws, points = draw(seed, "loan", str(loan)), self._points
        opened = points[0] - np.timedelta64(int(draws.integers(30, 720)), "D")
        weakness, size = draws.normal(), float(np.exp(draws.normal(12.5, 0.8)))
        defaults = draws.random() < 1 / (1 + np.exp(1.6 - 0.7 * weakness))
        end = int(draws.integers(3, self.months)) if defaults else self.months + 2 * PERFORMANCE
        event = points[end] - np.timedelta64(int(draws.integers(5, 24)), "D") if defaults else None
        windows = months_after(points, PERFORMANCE)
        for month in range(self.months - PERFORMANCE):
            if event is not None and points[month] >= event:
                return
            early = strength * max(0.0, 1 - (end - month) / PERFORMANCE)
            late = max(0.0, 1 - (end - month) / (PERFORMANCE / 2))
            noise = draws.normal(size=5)
            yield (
                f"L{loan:05d}", str(points[month]), int(event is not None and event < windows[month]),
                "" if event is None else str(event), str(opened),
                round(size * (1 - 0.5 * month / self.months), 2),
                round(float(100 - 6 * weakness + 15 * noise[0]), 2),
                round(float(0.45 + 0.05 * weakness + 0.35 * late + 0.12 * noise[1]), 3),
                round(float(1 + 0.4 * weakness + 1.5 * early + noise[2]), 3),
                int(40 + 10 * noise[3]),
                round(float(18 + 2 * weakness + 9 * early + 8 * noise[4]), 1),
                int(draws.poisson(0.2 + 0.5 * early)),
            )  # fmt: skip

    @property
    def _points(self) -> Any:
        """Month ends, datetime64[D]."""
        last = date(2022 + self.months // 12 + 1, 12, 31)
        return Grid("month", date(2022, 1, 31), last).points[: self.months].astype("datetime64[D]")
