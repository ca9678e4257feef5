"""Loans followed month by month until they default: a made-up table for early warning, for tests and first tries.

One row a loan and month end, as long as it is performing and its whole performance window was seen. Signals turn
abnormal about twelve months before a default, first at suppliers, then on the account (Norden and Weber, RFS 2010):
from then on `late_bills` (a partner's) climbs, and `limit_use` (the bank's) half a year later.
"""

import csv
from datetime import date
from pathlib import Path

import numpy as np

from bank_node.outcome.early_warning import months_after
from protocol.draws import draw
from protocol.table.dates import Grid

COLUMNS = (
    "loan", "as_of", "bad", "defaulted_on", "opened_on", "balance", "turnover", "limit_use", "late_bills", "headcount",
)  # fmt: skip
PERFORMANCE = 12
"""Months after a row's date in which a default makes it bad."""


def write_loans(path: Path, loans: int = 300, months: int = 30, seed: int = 7) -> Path:
    """Write the table as CSV: at most loans x (months - PERFORMANCE) rows. About one loan in four defaults."""
    draws = draw(seed, "loans")
    points = (
        Grid("month", date(2022, 1, 31), date(2022 + months // 12 + 1, 12, 31)).points[:months].astype("datetime64[D]")
    )
    ends = months_after(points, PERFORMANCE)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for loan in range(loans):
            opened = points[0] - np.timedelta64(int(draws.integers(30, 720)), "D")
            weakness, size = draws.normal(), float(np.exp(draws.normal(12.5, 0.8)))
            defaults = draws.random() < 1 / (1 + np.exp(1.6 - 0.7 * weakness))
            end = int(draws.integers(3, months)) if defaults else months + PERFORMANCE
            event = points[end] + np.timedelta64(int(draws.integers(1, 20)) - 25, "D") if defaults else None
            for month in range(months - PERFORMANCE):
                if event is not None and points[month] >= event:
                    break
                ahead = end - month
                strain = max(0.0, PERFORMANCE - ahead) / PERFORMANCE if defaults else 0.0
                late = max(0.0, PERFORMANCE / 2 - ahead) / (PERFORMANCE / 2) if defaults else 0.0
                noise = draws.normal(size=4)
                bad = event is not None and event < ends[month]
                rows.writerow(
                    [
                        f"L{loan:05d}", points[month], int(bad), "" if event is None else event, opened,
                        round(size * (1 - 0.5 * month / months), 2),
                        round(float(100 - 6 * weakness + 15 * noise[0]), 2),
                        round(float(0.45 + 0.05 * weakness + 0.35 * late + 0.12 * noise[1]), 3),
                        round(float(1 + 0.4 * weakness + 4 * strain + noise[2]), 3), int(40 + 10 * noise[3]),
                    ]
                )  # fmt: skip
    return path
