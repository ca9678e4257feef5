"""What a bank that lies could have read at worst, in bits: a bound that holds for any strategy.

A bank chooses its vectors freely, and nobody sees them: rows at powers of two, or at random weights that are decoded by
exact cover, read single rows. What any strategy can read is bounded by what an answer can say at all:

    a vector, of a column of B bins       (B - 1) c + log2(B) / 2 bits, c = P - log2(sigma) - 2.05 with noise of
                                          deviation sigma, c = P without; P the bits that its query declared
    a whole-number sum                    P bits a row of M; a product of two columns counts for both
    a release of scores                   log2(L) bits a row, L the values that a score may take; for any of its
                                          columns, but for all of them together only once: a pool
    a split                               its gain in entropy (partner_node/algorithms/information.py)

The B sums of a vector have B - 1 free values, since they add up to a total that the bank knows; log2(B) / 2 pays for
the noise's dependence. 2.05 = log2(sqrt(2 pi e)) is the entropy of a Gaussian of deviation 1: what is left of P bits.

Column j has entropy H_j over n matched rows. Its own bits, b_j, make at most min(H_j, told_j + b_j / n) of it readable.
A pool of b bits over columns S adds at most min(b / n, sum over S of what is left of H_j), wherever it is spent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Final

from protocol.algorithms.glm import LARGEST_SCORE

NOISE_BITS: Final = 2.05
"""log2(sqrt(2 pi e)), rounded up in the bank's favour."""


def sum_bits(bits: int, sigma: float) -> float:
    """What one sum of so many bits tells at most, c. sigma: deviation of its noise, 0 for none."""
    return max(0.0, bits - (log2(sigma) + NOISE_BITS if sigma > 0 else 0.0))


def vector_bits(bins: int, fields: Iterable[tuple[int, float]]) -> float:
    """What one answered vector tells of a column of so many bins. fields: (bits, sigma) of each that it carries."""
    return sum((bins - 1) * sum_bits(bits, sigma) + log2(bins) / 2 for bits, sigma in fields)


def release_bits(decimals: int) -> float:
    """What one released score tells of its row."""
    return log2(2 * LARGEST_SCORE * 10**decimals + 1)


@dataclass(frozen=True)
class Bits:
    """What was told besides splits. own: bits by column (number in the table). pools: bits by sets of columns."""

    own: Mapping[int, float] = field(default_factory=dict)
    pools: Mapping[frozenset[int], float] = field(default_factory=dict)

    def plus(self, other: "Bits") -> "Bits":
        """Both together."""
        own, pools = dict(self.own), dict(self.pools)
        for column, bits in other.own.items():
            own[column] = own.get(column, 0.0) + bits
        for columns, bits in other.pools.items():
            pools[columns] = pools.get(columns, 0.0) + bits
        return Bits(own, pools)


@dataclass(frozen=True)
class Entropy:
    """A column's entropy in bits a row, and what splits have told of it. number: of the column in the table."""

    number: int
    whole: float
    told: float


@dataclass(frozen=True)
class Readable:
    """share: of all columns' entropy; largest: of the column of which most could be read."""

    share: float
    largest: float


def readable(columns: Sequence[Entropy], bits: Bits, rows: int, elsewhere: float = 0.0) -> Readable:
    """What a bank could have read at most. rows: matched. elsewhere: information share told of other binnings."""
    total, n = sum(column.whole for column in columns), max(rows, 1)
    if not total:
        return Readable(0.0, 0.0)
    base = {c.number: min(c.whole, c.told + bits.own.get(c.number, 0.0) / n) for c in columns}
    left = {c.number: c.whole - base[c.number] for c in columns}
    more = sum(min(b / n, sum(left.get(j, 0.0) for j in pool)) for pool, b in bits.pools.items())
    share = (sum(base.values()) + min(more, sum(left.values()))) / total + elsewhere
    largest = max(_with_pools(c, base[c.number], bits, n) for c in columns) + elsewhere
    return Readable(min(1.0, share), min(1.0, largest))


def _with_pools(column: Entropy, base: float, bits: Bits, rows: int) -> float:
    """Share of one column, as if all pools that it is in were spent on it alone."""
    if not column.whole:
        return 0.0
    pooled = sum(b for pool, b in bits.pools.items() if column.number in pool)
    return min(1.0, (base + pooled / rows) / column.whole)
