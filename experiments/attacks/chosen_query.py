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
from protocol.he.plan import NOISE_CUT, FieldBounds, Packing, signed

READ = PLAINTEXT_BITS - 1
"""Rows read by one query, a bit each."""


def chosen_query(
    histogram_noise: float, declared_log2: int, folder: Path, rows: int = 1000, bins: int = 16, tight: bool = True
) -> Score:
    """Share of 41 chosen rows whose bin one query gives away, the others guessed.

    declared_log2: what the bank says of its largest row; it leaves out the bits that the noise covers. tight: whether
    the partner fills the bits that a sum does not need with random ones.
    """
    secret = draw(1, "chosen query").integers(0, bins, (rows, 1), dtype=np.uint8)
    target = Target(OneHot(secret, np.array([bins]), rows, np.arange(rows)), histogram_noise, folder)
    bare = FieldBounds(declared_log2, 1)
    width = min(PLAINTEXT_BITS, bare.widest(rows, histogram_noise)) if tight else PLAINTEXT_BITS
    packing = Packing(False, FieldBounds(declared_log2, width), FieldBounds(0, 1))
    covered = min(READ, ceil(log2(2 * NOISE_CUT * bare.sigma(histogram_noise)))) if histogram_noise else 0
    readable = np.arange(covered, min(READ, width - 1))
    chosen = readable * (rows // READ)
    vectors = np.zeros((2, rows), dtype=np.int64)
    vectors[0, chosen] = np.int64(1) << readable
    sums = signed(target.sums(vectors, "node", packing)[0], width) + (1 << covered >> 1)
    bits = (sums[:, None] >> readable) & 1
    found = (bits.argmax(axis=0) == secret[chosen, 0]) & (bits.sum(axis=0) == 1)
    setting = f"noise {histogram_noise:g}, largest row declared as 2^{declared_log2}"
    guessed = READ - len(readable)
    return Score("chosen query", setting, (float(found.sum()) + guessed / bins) / READ, 1 / bins)
