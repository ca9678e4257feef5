"""Which fine bins of a column go together: from exact counts of goods and bads, without touching a row again.

Ordered bins are joined into runs. `monotone` takes, of all ways to cut them into at most `max_bins` runs along which
the bad rate only rises or only falls, the one of the largest information value: found exactly, by dynamic programming.
`chi-merge` joins the two neighbours that differ least until all differ (Kerber 1992). Categories are put in order of
their bad rate first. Special values, `missing` and `not_held` stay by themselves. A joined bin has `min_share` of the
rows, and goods as well as bads; where no two such bins exist, the column has one, and tells nothing.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.woe import EMPTY, Evidence
from protocol.job import Binning
from protocol.messages import F64, I64

_NONE = -np.inf


@dataclass(frozen=True)
class _Runs:
    """Counts of all runs of K ordered bins: of bins i .. j-1 at [i, j], shape (K+1, K+1), zero where i >= j.

    iv: what a run adds to the information value. whole: whether it is large enough, and has goods and bads.
    """

    rows: I64
    bads: I64
    iv: F64
    whole: npt.NDArray[np.bool_]


def joined_bins(evidence: Evidence, shape: ColumnShape, settings: Binning) -> I64:
    """Number of the joined bin of each fine bin, shape (k,), in the order in which they are shown.

    evidence: of the fine bins, those of `shape` first, then perhaps `not_held`. shape.increasing: the bad rate must not
    fall along the bins.
    """
    size = len(evidence.rows)
    if settings.merge == "none":
        return np.arange(size)
    ordered = shape.ordinary - shape.special
    order = np.arange(ordered)
    rows, bads = evidence.rows[:ordered], evidence.bads[:ordered]
    if shape.categorical:
        order = np.argsort(bads / np.maximum(rows, 1), kind="stable")
    runs = _runs(rows[order], bads[order], evidence, settings.min_share)
    find = _chi_merge if settings.merge == "chi-merge" else _monotone
    starts = find(runs, settings, shape.increasing and not shape.categorical)
    groups = np.empty(size, dtype=np.int64)
    groups[order] = np.searchsorted(starts, np.arange(ordered), side="right") - 1
    groups[ordered:] = len(starts) + np.arange(size - ordered)
    return groups


def _runs(rows: I64, bads: I64, whole_column: Evidence, min_share: float) -> _Runs:
    count_rows, count_bads = (_between(counts) for counts in (rows, bads))
    total, bad = int(whole_column.rows.sum()), int(whole_column.bads.sum())
    goods = count_rows - count_bads
    least = max(1, int(np.ceil(min_share * total)))
    share_good = np.where(goods > 0, goods, EMPTY) / max(1, total - bad)
    share_bad = np.where(count_bads > 0, count_bads, EMPTY) / max(1, bad)
    iv = np.where(count_rows > 0, (share_good - share_bad) * np.log(share_good / share_bad), 0.0)
    return _Runs(count_rows, count_bads, iv, (count_rows >= least) & (count_bads > 0) & (goods > 0))


def _between(counts: I64) -> I64:
    """Sum of bins i .. j-1 at [i, j]."""
    ends = np.concatenate(([0], np.cumsum(counts)))
    return np.triu(ends[None, :] - ends[:, None]).astype(np.int64)


def _monotone(runs: _Runs, settings: Binning, increasing: bool) -> list[int]:
    """First bins of the best runs; one run if there are no two."""
    found = [_best(runs, settings.max_bins, sign) for sign in ((1,) if increasing else (1, -1))]
    return max(found, key=lambda f: f[0])[1]


def _best(runs: _Runs, max_bins: int, sign: int) -> tuple[float, list[int]]:
    """The largest information value along which sign * bad rate does not fall, and the first bins of its runs."""
    size = len(runs.rows)
    end = size - 1
    best = np.full((size, size), _NONE)  # [i, j]: of bins 0 .. j-1, the last run being i .. j-1
    best[0] = np.where(runs.whole[0], runs.iv[0], _NONE)
    steps: list[I64] = []
    value, at = (best[0, end], (1, 0)) if runs.whole[0, end] else (_NONE, (1, 0))
    for count in range(2, min(max_bins, end) + 1):
        best, before = _one_more(runs, best, sign)
        steps.append(before)
        last = int(best[:, end].argmax())
        if best[last, end] > value:
            value, at = best[last, end], (count, last)
    starts, stop = [at[1]], end
    for before in reversed(steps[: at[0] - 1]):
        first = starts[0]
        starts.insert(0, int(before[first, stop]))
        stop = first
    return float(value), starts


def _one_more(runs: _Runs, best: F64, sign: int) -> tuple[F64, I64]:
    """The best with one run more, and where the run before the last one then starts."""
    after, before = np.full_like(best, _NONE), np.zeros(best.shape, dtype=np.int64)
    for i in range(1, len(best) - 1):
        rises = runs.bads[:, i, None] * runs.rows[i] * sign <= runs.bads[i] * runs.rows[:, i, None] * sign
        reached = np.where(rises & (best[:, i, None] > _NONE), best[:, i, None], _NONE)
        before[i] = reached.argmax(axis=0)
        after[i] = np.where(runs.whole[i], reached.max(axis=0) + runs.iv[i], _NONE)
    return after, before


def _chi_merge(runs: _Runs, settings: Binning, increasing: bool) -> list[int]:
    """First bins of the runs left when every two neighbours differ, are few enough and large enough."""
    threshold = NormalDist().inv_cdf((1 + settings.level) / 2) ** 2  # chi-square of one degree of freedom
    bounds = list(range(len(runs.rows)))
    while len(bounds) > 2:
        differ = [_chi_square(runs, bounds[k : k + 3], increasing) for k in range(len(bounds) - 2)]
        least = int(np.argmin(differ))
        small = next((k for k in range(len(bounds) - 1) if not runs.whole[bounds[k], bounds[k + 1]]), None)
        if differ[least] >= threshold and len(bounds) - 1 <= settings.max_bins:
            if small is None:
                break
            least = min((k for k in (small - 1, small) if 0 <= k < len(differ)), key=differ.__getitem__)
        del bounds[least + 1]
    return bounds[:-1]


def _chi_square(runs: _Runs, ends: list[int], increasing: bool) -> float:
    """Pearson's statistic of bads against goods in two neighbouring runs; 0 where they stand against a direction."""
    i, j, k = ends
    rows, bads = (np.array([c[i, j], c[j, k]], dtype=np.float64) for c in (runs.rows, runs.bads))
    rate = bads.sum() / max(1.0, rows.sum())
    spread = rate * (1 - rate)
    if not rows.all() or not spread or (increasing and bads[0] * rows[1] > bads[1] * rows[0]):
        return 0.0
    return float((np.square(bads - rate * rows) / rows).sum() / spread)
