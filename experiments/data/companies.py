"""Companies observed month by month: a small made-up table at points in time, for tests and first tries.

One row a company and month end: turnover of the bank's account (bank), arrears with suppliers and headcount
(partners), and whether the company defaults within the following year. Arrears rise before a default, as account
signals do (Norden and Weber, RFS 2010), so that a record of the future would tell too much.
"""

import csv
from datetime import date
from pathlib import Path

import numpy as np

from protocol.draws import draw
from protocol.table.dates import Grid

COLUMNS = ("company", "as_of", "bad", "turnover", "limit_use", "arrears", "headcount")


def write_companies(path: Path, companies: int = 60, months: int = 12, seed: int = 7) -> Path:
    """Write the table as CSV, companies x months rows less the months before a company's first.

    A company joins in one of the first three months.
    """
    draws = draw(seed, "companies")
    points = Grid("month", date(2023, 1, 31), date(2023 + months // 12 + 1, 12, 31)).points[:months]
    risk = draws.normal(size=companies)
    joined = draws.integers(0, 3, companies)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for company in range(companies):
            trend = np.cumsum(draws.normal(0.1 * risk[company], 0.3, months)) + risk[company]
            bad = draws.random(months) < 1 / (1 + np.exp(1.2 - 1.5 * trend))
            for month in range(int(joined[company]), months):
                noise = draws.normal(size=4)
                rows.writerow(
                    [
                        f"C{company:04d}", str(points[month])[:10], int(bad[month]),
                        round(float(100 + 20 * noise[0] - 5 * trend[month]), 2),
                        round(float(0.5 + 0.2 * noise[1] + 0.02 * trend[month]), 3),
                        round(float(trend[month] + 0.3 * noise[2]), 3),
                        int(50 + 10 * noise[3] - 2 * risk[company]),
                    ]
                )  # fmt: skip
    return path
