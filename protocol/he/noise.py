"""Noise on a partner's histograms: integer, Gaussian, and summing to zero over a column's bins.

It keeps rows from being solved for from many sums, and leaves the totals exact, so that they can be checked. It is
calibrated against reconstruction, and is no claim of differential privacy; `zcdp` is the figure all the same.

An integer of standard deviation sigma is 2^j·c + u - 2^(j-1): c from a table of a discrete Gaussian of deviation
sigma / 2^j in [32, 64), u uniform in j bits; for sigma < 64, j = 0. All draws are integers by a PRF from the
partner's noise key, the query label and the column: float noise leaves its low bits bare (Mironov, CCS 2012).
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import cache
from typing import Final

import numpy as np

from protocol.he.plan import NOISE_CUT, WHOLE_BITS, Packing
from protocol.he.streams import derive, digest, words
from protocol.messages import I64, U64

_TRIES: Final = 64
_SLOT: Final = 513


def histogram_noise(key: bytes, context: bytes, places: Sequence[int], sizes: Sequence[int], sigma: float) -> I64:
    """Noise of the bins of several columns, one after another, shape (sum of sizes,).

    key: of the run's noise epoch. context: names what is asked, and the field. places: the columns' numbers, so that a
    column has the same noise whatever columns are asked with it. Each entry is at most 8 sigma in size.
    """
    if sigma <= 0 or not places:
        return np.zeros(int(sum(sizes)), dtype=np.int64)
    stream = derive(key, "histogram noise", context)
    counts = np.asarray(sizes, dtype=np.int64)
    noise, again = _drawn(stream, np.asarray(places, dtype=np.int64), counts, float(sigma), 0)
    for attempt in range(1, _TRIES):
        if not again.any():
            return noise
        redrawn, still = _drawn(stream, np.asarray(places, dtype=np.int64), counts, float(sigma), attempt)
        noise = np.where(np.repeat(again, counts), redrawn, noise)
        again &= still
    raise ArithmeticError("no draw of noise fell inside its cut")  # probability below 2^-1000


def noise_of_node(
    key: bytes, context: bytes, places: Sequence[int], sizes: Sequence[int], level: float, packing: Packing
) -> I64:
    """Noise of one node's vectors, shape (1 or 2, rows). context: names the question, without field.

    Each declared width has a stream of its own: one draw at two widths, added to one sum, would cancel.
    """
    g, h = (
        histogram_noise(key, digest(context, f"{name}/{packing.packed:d}/{field.row_log2}".encode()), places, sizes,
                        field.sigma(level))
        for name, field in (("g", packing.g), ("h", packing.h))
    )  # fmt: skip
    return packing.vectors(g, h)


def high_bits(key: bytes, context: bytes, bits: int, rows: int, width: int = WHOLE_BITS) -> I64:
    """Random integers for the bits of a sum that are not in use, from `bits` up to `width`, shape (rows,).

    They are added modulo 2^width: a sum then tells nothing beyond the bits that its query declared.
    """
    free = width - bits
    if free <= 0:
        return np.zeros(rows, dtype=np.int64)
    drawn = words(derive(key, "high bits", context), rows) >> np.uint64(64 - free)
    return (drawn << np.uint64(bits)).view(np.int64)


def zcdp(queries: int, columns: int, histogram_noise: float) -> float:
    """Zero-concentrated differential privacy of a row, rho, were it claimed: g and h of every query and column."""
    return queries * columns * 2 / (2 * histogram_noise**2) if histogram_noise else float("inf")


def _drawn(
    stream: bytes, places: I64, sizes: I64, sigma: float, attempt: int
) -> tuple[I64, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Zero-sum noise of all columns, one after another, and which of them left the cut.

    A column has a slot of its own in the stream, by its number: 256 coarse words, 256 fine ones, and a last one
    that says which bins take the remainder of the division.
    """
    slots = words(derive(stream, "draw", attempt.to_bytes(8, "little")), (int(places.max()) + 1) * _SLOT)
    slots = slots.reshape(-1, _SLOT)[places]
    within = np.arange(256) < sizes[:, None]
    values = gaussian(slots[:, :256][within], slots[:, 256:512][within], sigma)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    share, rest = np.divmod(np.add.reduceat(values, starts), sizes)
    first = (slots[:, 512] % sizes.astype(np.uint64)).astype(np.int64)
    place = np.arange(len(values)) - np.repeat(starts, sizes)
    turned = (place - np.repeat(first, sizes)) % np.repeat(sizes, sizes)
    values = values - np.repeat(share, sizes) - (turned < np.repeat(rest, sizes))
    return values, np.maximum.reduceat(np.abs(values), starts) > NOISE_CUT * sigma


def gaussian(coarse: U64, fine: U64, sigma: float) -> I64:
    """Integers of deviation sigma from two uniform words each."""
    width = max(0, int(np.floor(np.log2(sigma / 32))))
    thresholds, least = _table(sigma / 2.0**width)
    values = (np.searchsorted(thresholds, coarse, side="right") + least).astype(np.int64) << width
    if width:
        values += (fine >> np.uint64(64 - width)).astype(np.int64) - (1 << (width - 1))
    return values


@cache
def _table(sigma: float) -> tuple[U64, int]:
    """Cumulative thresholds, of 64 bits, of the discrete Gaussian cut at 8 sigma, and its least value."""
    reach = int(NOISE_CUT * sigma)
    with localcontext() as context:
        context.prec = 50
        weights = [(-(Decimal(v) ** 2) / (2 * Decimal(sigma) ** 2)).exp() for v in range(-reach, reach + 1)]
        total, running, out = sum(weights), Decimal(0), []
        for weight in weights[:-1]:
            running += weight
            out.append(min(int(running / total * 2**64), 2**64 - 1))
    return np.array(out, dtype=np.uint64), -reach
