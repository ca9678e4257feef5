"""An honest bank, afterwards: every sum is an equation in the rows of a bin, and enough of them have one solution.

Unknown: which rows are in a bin, x in {0, 1}. Known: g and h of every row of every node that was asked for, and the
opened sums. Found: a point of the linear program {A x = sums, 0 <= x <= 1}, by accelerated projected gradient, which
under noise becomes bounded least squares; the rows of the largest x are named, as many as the bin has.
Source: Dinur and Nissim, PODS 2003; Dwork, McSherry and Talwar, STOC 2007.
"""

from pathlib import Path

import numpy as np

from experiments.attacks import Score, Target
from protocol.draws import draw
from protocol.he.base import OneHot
from protocol.he.plan import make_plan
from protocol.messages import F64, I64

_STEPS = 1500


def reconstruction(
    equations_a_row: float, histogram_noise: float, folder: Path, rows: int = 1000, bins: int = 32
) -> Score:
    """Share of a bin's rows that the sums of a training give away; the bin is the column's first."""
    generator = draw(2, "reconstruction")
    secret = generator.integers(0, bins, (rows, 1), dtype=np.uint8)
    target = Target(OneHot(secret, np.array([bins]), rows, np.arange(rows)), histogram_noise, folder)
    equations, sums = _train(target, generator, round(equations_a_row * rows / 2))
    inside = secret[:, 0] == 0
    guess = _bounded_least_squares(equations, sums)
    named = np.argsort(-guess)[: int(inside.sum())]
    setting = f"{equations_a_row:g} equations a row, noise {histogram_noise:g}"
    return Score("reconstruction", setting, float(inside[named].mean()), float(inside.mean()))


def _train(target: Target, generator: np.random.Generator, queries: int) -> tuple[F64, F64]:
    """Packed queries as boosting makes them, four nodes a tree, margins moving from tree to tree; sums of bin 0."""
    rows = target.matrix.n
    label, margin = generator.random(rows) < 0.2, np.full(rows, -1.4)
    equations, sums = [], []
    for tree in range(-(-queries // 4)):
        p = 1 / (1 + np.exp(-margin))
        g, h = p - label, p * (1 - p)
        plan = make_plan(g, h, target.noise)
        whole = [f.quantise(v, generator.random(rows)) for f, v in ((plan.g, g), (plan.h, h))]
        packing = plan.packing(np.stack(whole, axis=1), target.noise)
        for node in range(min(4, queries - 4 * tree)):
            among = np.ones(rows, dtype=bool) if node == 0 else generator.random(rows) < 0.4
            gh: list[I64] = [np.where(among, v, 0) for v in whole]
            opened = packing.split(target.sums(packing.vectors(*gh), f"{tree}/{node}", packing))[0]
            scale = [2.0**-plan.g.row_log2, 2.0**-plan.h.row_log2]
            equations += [v * s for v, s in zip(gh, scale, strict=True)]
            sums += [v * s for v, s in zip(opened, scale, strict=True)]
        margin = margin + generator.normal(0, 0.4, rows)
    return np.array(equations), np.array(sums)


def _bounded_least_squares(a: F64, b: F64) -> F64:
    """min |a x - b| over 0 <= x <= 1 (Beck and Teboulle, FISTA, 2009)."""
    step = 1 / np.linalg.norm(a, 2) ** 2
    x = ahead = np.full(a.shape[1], 0.5)
    speed = 1.0
    for _ in range(_STEPS):
        after = np.clip(ahead - step * (a.T @ (a @ ahead - b)), 0, 1)
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead, x, speed = after + (speed - 1) / faster * (after - x), after, faster
    return x
