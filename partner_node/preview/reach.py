"""How far a budget of information reaches: how many thresholds it admits at most, and what a number of them tells.

Of one ordered column, what k thresholds tell at least and at most is found exactly, over all ways to cut the bins into
k + 1 runs. Of k splits of categories, those are counted that divide what was together: the least is told where they
take off the rarest one by one, and none tells more than a bit a row. Of all columns together, the convex (concave) hull
of each column's extremes gives a bound that no choice of thresholds passes.

Entropies are in bits a row; `share` is the one that partner_node/algorithms/information.py meters.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from protocol.messages import F64, I64

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bins:
    """One column over all rows of the table. ordinary: rows in each ordinary bin, shape (B,). missing: rows."""

    ordinary: I64
    missing: int
    categorical: bool


@dataclass(frozen=True)
class Reach:
    """thresholds: that there are. admitted: that a budget admits at most. share_after: the worst case, of 1."""

    thresholds: int
    admitted: int
    share_after: float


def reach(columns: list[Bins], limit: float, elsewhere: float, asked: int, told: int) -> Reach:
    """What a job may learn of one binning in the worst case.

    limit: max_information_share. elsewhere: share spent on other binnings. asked: thresholds that the job may ask at
    most. told: those revealed already.
    """
    whole = sum(entropy(c) for c in columns)
    least = np.sort(np.concatenate([_steps(_told_by(c, least=True), convex=True) for c in columns]))
    most = np.sort(np.concatenate([_steps(_told_by(c, least=False), convex=False) for c in columns]))[::-1]
    room = max(0.0, limit - elsewhere) * whole
    admitted = int((np.cumsum(least) <= room + _ROUNDING).sum())
    share = float(most[: told + asked].sum()) / whole if whole else 0.0
    return Reach(len(least), min(admitted, told + asked), min(1.0, max(elsewhere, min(limit, elsewhere + share))))


def share_for(columns: list[Bins], thresholds: int) -> float:
    """The information share that admits so many thresholds of every column, whichever they are."""
    whole = sum(entropy(c) for c in columns)
    most = sum(float(told[min(thresholds, len(told) - 1)]) for c in columns if len(told := _told_by(c, least=False)))
    return min(1.0, most / whole) if whole else 0.0


def bits_known(columns: list[Bins], share: float) -> tuple[float, float]:
    """What a bank knows of each customer at such a share, and what there is: bits, of all columns together."""
    whole = sum(entropy(c) for c in columns)
    return share * whole, whole


def _told_by(column: Bins, least: bool) -> F64:
    """What 0, 1, 2, ... thresholds of a column tell, the least or the most, bits a row.

    The first threshold tells also which rows are missing; where some are, one threshold tells that alone.
    """
    rows = int(column.ordinary.sum()) + column.missing
    chances = column.ordinary / max(rows, 1)
    if column.categorical:
        rarest_first, bits = _extremes(np.sort(chances), least=True), np.arange(float(len(chances)))
        cells = rarest_first if least else rarest_first[0] + np.minimum(bits, rarest_first[-1] - rarest_first[0])
    else:
        cells = _extremes(chances, least)
    missing = _surprise(np.array([column.missing / max(rows, 1)]))[0]
    if not column.missing:
        return cells
    after = cells + missing
    return np.concatenate(([0.0], after if least else np.maximum(after, np.append(after[1:], after[-1]))))


def _extremes(chances: F64, least: bool) -> F64:
    """The entropy of the runs that k cuts make, the least or the most, for k = 0 .. B - 1."""
    size = len(chances)
    ends = np.concatenate(([0.0], np.cumsum(chances)))
    run = np.triu(_surprise(np.maximum(ends[None, :] - ends[:, None], 0.0)), 1)  # of bins i .. j - 1
    impossible = np.inf if least else -np.inf
    run[np.tril_indices(size + 1)] = impossible
    best, pick = run[0].copy(), np.min if least else np.max
    told = [best[size]]
    for _ in range(size - 1):
        best = pick(best[:, None] + run, axis=0)
        told.append(best[size])
    return np.array(told)


def _steps(told: F64, convex: bool) -> F64:
    """Slopes of the convex (concave) hull of what 0, 1, 2, ... thresholds tell: one a threshold."""
    hull = [0]
    for k in range(1, len(told)):
        while len(hull) > 1 and _bends(told, hull[-2], hull[-1], k, convex):
            hull.pop()
        hull.append(k)
    slopes = [np.full(b - a, (told[b] - told[a]) / (b - a)) for a, b in pairwise(hull)]
    return np.concatenate(slopes) if slopes else np.empty(0)


def _bends(told: F64, a: int, b: int, c: int, convex: bool) -> bool:
    """Whether b lies off the hull from a to c."""
    direct = (told[c] - told[a]) * (b - a)
    by_way = (told[b] - told[a]) * (c - a)
    return bool(by_way >= direct if convex else by_way <= direct)


def entropy(column: Bins) -> float:
    """The entropy of a column's bins, `missing` among them, in bits a row."""
    counts = np.append(column.ordinary, column.missing)
    return float(_surprise(counts / max(int(counts.sum()), 1)).sum())


def _surprise(chances: F64) -> F64:
    """-p log2 p."""
    out: F64 = -chances * np.log2(np.where(chances > 0, chances, 1.0))
    return out
