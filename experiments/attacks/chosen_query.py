"""A bank that deviates: rows at powers of two, so that the bits of one sum say which of them are in a bin.

Nothing in the product prevents it, since a query is sealed: the partner cannot see that it is no gradient. Noise hides
the low bits of a sum, as many as the bank's own declaration of its largest row asks for, and the bank may lie.
Source: arXiv:2011.09290.
"""

from math import ceil, log2
from pathlib import Path

import numpy as np

from experiments.attacks import Score, Target
from protocol.draws import draw
from protocol.he.base import PLAINTEXT_BITS, OneHot
from protocol.he.plan import NOISE_CUT, Field, Plan

READ = PLAINTEXT_BITS - 1
"""Rows read by one query, a bit each."""


def chosen_query(histogram_noise: float, declared_log2: int, folder: Path, rows: int = 1000, bins: int = 16) -> Score:
    """Share of 41 chosen rows whose bin one query gives away, the others guessed.

    declared_log2: what the bank says of its largest row; it leaves out the bits that the noise covers.
    """
    secret = draw(1, "chosen query").integers(0, bins, (rows, 1), dtype=np.uint8)
    target = Target(OneHot(secret, np.array([bins]), rows, np.arange(rows)), histogram_noise, folder)
    plan = Plan(False, Field(0, declared_log2), Field(0, 0))
    covered = min(READ, ceil(log2(2 * NOISE_CUT * plan.g.sigma(histogram_noise)))) if histogram_noise else 0
    readable = np.arange(covered, READ)
    chosen = readable * (rows // READ)
    vectors = np.zeros((2, rows), dtype=np.int64)
    vectors[0, chosen] = 1 << readable
    sums = target.sums(vectors, "node", plan)[0] + (1 << covered >> 1)
    bits = (sums[:, None] >> readable) & 1
    found = (bits.argmax(axis=0) == secret[chosen, 0]) & (bits.sum(axis=0) == 1)
    setting = f"noise {histogram_noise:g}, largest row declared as 2^{declared_log2}"
    return Score("chosen query", setting, (float(found.sum()) + covered / bins) / READ, 1 / bins)
