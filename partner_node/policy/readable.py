"""A meter, in bits, of what a bank that deviates from the protocol could have read at worst.

The bank chooses its vectors freely, and the partner cannot see them: random weights on few rows,
decoded by exact cover, read those rows (experiments/attacks/exact_cover.py). An answer cannot tell
more than its bits, whatever the strategy:

    an answered vector, of a column of B bins   (B - 1) c + log2(B) / 2 bits
    a whole-number sum                          P bits a row of M; a product counts for both columns
    a release of partial scores                 log2(L) bits a row, L the values a score can take
    a split                                     its gain in entropy (algorithms/information.py)

Here P is the number of bits that the query declared, and c = P - log2(sigma) - log2(sqrt(2 pi e))
with noise of standard deviation sigma, c = P without. The B sums have B - 1 free values, since they
add up to a total that the bank knows. Their entropy is at most (B - 1) P. Noise that sums to zero
over B bins has covariance sigma^2 (I - 1/B), so its entropy is (B - 1)(log2(sigma) + 2.047)
- log2(B) / 2. The difference bounds the mutual information of the answer and the bins. Answers add
up by the chain rule, also where a query depends on earlier answers.

Column j has entropy H_j over n matched rows: b_j bits of its own, and a split entropy told_j, make
at most base_j = min(H_j, told_j + b_j / n) of it readable. A score depends on several columns at
once, so the b bits of a release form a pool over the set S of its columns: they may be spent on any
column of S, but only once. Which assignment reads most is a maximum flow from pools to columns, and
its value is that of the smallest cut. A cut is a set T of pools, whose columns U may be readable in
full, while the bits of all other pools count in full. `readable` takes the smallest, over all T, of

    sum over j in U of H_j  +  sum over j not in U of base_j  +  sum over S not in T of b_S / n

and by_column bounds each column as if every pool that it is in were spent on it alone. Each of the
sums falls as n grows and rises with every bit told, and so does their minimum. Of more than
MOST_POOLS pools the widest count as one pool over their columns together, which bounds them too.

Bits of a column, which its name identifies, add up over all binnings, runs, alignments and files of
one bank and account. Entropies are those of the binning that is asked now: the same bits are a
smaller share of a finer binning, which has more to read, and each binning has its own figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Final

from protocol.algorithms.glm import LARGEST_SCORE
from protocol.contract import refuse

NOISE_BITS: Final = 2.047
"""log2(sqrt(2 pi e)) = 2.0471, the entropy of a Gaussian of deviation 1; rounded down, so that the bound holds."""

MOST_POOLS: Final = 8
"""Pools of which `readable` tries every cut."""

EVERY_COLUMN: Final = ""
"""Bits under this name count for every column; recovery enters what a lost state may have told."""


def sum_bits(bits: int, sigma: float) -> float:
    """Bits that one sum tells at most, c. bits: declared, P. sigma: deviation of its noise, 0 without noise."""
    hidden = log2(sigma) + NOISE_BITS if sigma > 0 else 0.0
    return min(float(bits), max(0.0, bits - hidden))


def vector_bits(bins: int, fields: Iterable[tuple[int, float]]) -> float:
    """What one answered vector tells of a column of so many bins. fields: (bits, sigma) of each that it carries."""
    return sum((bins - 1) * sum_bits(bits, sigma) + log2(bins) / 2 for bits, sigma in fields)


def release_bits(decimals: int) -> float:
    """What one released score tells of its row."""
    return log2(2 * LARGEST_SCORE * 10**decimals + 1)


@dataclass(frozen=True)
class Bits:
    """What was told besides splits. own: bits by column's name. pools: bits by sets of columns."""

    own: Mapping[str, float] = field(default_factory=dict)
    pools: Mapping[frozenset[str], float] = field(default_factory=dict)

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
    """One column. whole: its entropy in bits a row. told: the bits a row that splits have told of it."""

    column: str
    whole: float
    told: float


@dataclass(frozen=True)
class Readable:
    """How much of a partner's bins a bank could have read at most, as shares of entropy in [0, 1].

    share: of all columns together. by_column: of each, by its name, as if every pool were spent on it.
    """

    share: float
    by_column: Mapping[str, float]

    @property
    def largest(self) -> float:
        """The share of the column of which most could be read."""
        return max(self.by_column.values(), default=0.0)


def readable(columns: Sequence[Entropy], bits: Bits, rows: int, elsewhere: float = 0.0) -> Readable:
    """Bound what a bank could have read; the module proves the bound.

    Args:
        rows: matched rows, n. The caller takes the smallest of those declared, aligned and on record.
        elsewhere: information share that splits told of other binnings; it is a pool over all columns.
    """
    total, n = sum(column.whole for column in columns), max(rows, 1)
    if not total:
        return Readable(0.0, {column.column: 0.0 for column in columns})
    every = frozenset(column.column for column in columns)
    pools = [*bits.pools.items(), (every, elsewhere * total * n)]
    own = {column: bits.own.get(column, 0.0) + bits.own.get(EVERY_COLUMN, 0.0) for column in every}
    base = {c.column: min(c.whole, c.told + own[c.column] / n) for c in columns}
    left = {c.column: c.whole - base[c.column] for c in columns}
    share = min(1.0, (sum(base.values()) + _most_spent(_merged(pools, every), left, n)) / total)
    pooled = {j: sum(amount for pool, amount in pools if j in pool) / n for j in every}
    return Readable(share, {c.column: _share_of(c, base[c.column] + pooled[c.column]) for c in columns})


def share_told(share: float) -> float:
    """A share as it leaves a partner: rounded up to three decimals, so that it is a bound and no figure of the table.

    At full precision an entropy tells the very counts of a bin.
    """
    return min(1.0, ceil(share * 1000) / 1000)


def require_readable(party: str, found: Readable, most: float) -> None:
    """Raises: RefusedError: a bank could then read more than is agreed. most: share of the bins."""
    if found.share > most:
        raise refuse(
            party, "max_readable_share",
            f"after the answer a bank that deviates could have read a share of {found.share:.3f} of the bins, "
            f"and {most:g} is agreed",
            "train fewer encrypted trees, score by fewer models, or agree on a higher clause",
        )  # fmt: skip


def _merged(pools: Iterable[tuple[frozenset[str], float]], every: frozenset[str]) -> list[tuple[frozenset[str], float]]:
    """At most MOST_POOLS pools over the columns that there are, narrow ones first; the widest count as one."""
    by_columns: dict[frozenset[str], float] = {}
    for pool, amount in pools:
        if amount and pool & every:
            by_columns[pool & every] = by_columns.get(pool & every, 0.0) + amount
    sorted_pools = sorted(by_columns.items(), key=lambda item: (len(item[0]), sorted(item[0])))
    narrow, wide = sorted_pools[: MOST_POOLS - 1], sorted_pools[MOST_POOLS - 1 :]
    if wide:
        narrow.append((frozenset().union(*(pool for pool, _ in wide)), sum(amount for _, amount in wide)))
    return narrow


def _most_spent(pools: Sequence[tuple[frozenset[str], float]], left: Mapping[str, float], n: int) -> float:
    """The most bits a row that pools can add to columns with so much left to read: the smallest cut."""
    held_left = [0.0] * (1 << len(pools))  # by the set of pools that a column is in, as a bit mask
    for column, bits in left.items():
        held_left[sum(1 << k for k, (pool, _) in enumerate(pools) if column in pool)] += bits
    smallest = float("inf")
    for cut in range(len(held_left)):
        in_full = sum(bits for mask, bits in enumerate(held_left) if mask & cut)
        counted = sum(amount for k, (_, amount) in enumerate(pools) if not cut >> k & 1)
        smallest = min(smallest, in_full + counted / n)
    return smallest


def _share_of(column: Entropy, bits: float) -> float:
    """Share of a column's entropy that so many bits a row are; a column of one bin has nothing to read."""
    return min(1.0, bits / column.whole) if column.whole else 0.0
