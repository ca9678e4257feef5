"""A bank that deviates: rows at random weights, whose bins are decoded from one vector by exact cover.

A bin's opened sum is the sum of the weights of its rows, modulo 2^P, with the partner's noise. Random
weights fill all P bits, so that a subset of rows is recognised by its sum. Subsets that fit a bin are
found by meeting in the middle (Horowitz and Sahni, 1974): the rows are halved, the subset sums of one
half are sorted, and each of the other half is looked up. The bins then share out the rows exactly.

- Without noise a bin with one fitting subset is solved, its rows leave, and the search goes deeper among
  the rows that are left.
- With noise many subsets fit. The search keeps those of few rows, since a bin of many is rare. A beam
  search takes one a bin, such that none overlap, and prefers those whose residuals are small.

The figures are of a model of the opened sums, which are the sums of the product, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb, log2, sqrt
from time import perf_counter
from typing import Final

import numpy as np

from partner_node.policy.readable import vector_bits
from protocol.draws import draw
from protocol.he.noise import histogram_noise
from protocol.messages import I64, U64

UNKNOWN: Final = -1
MOST_ROWS: Final = 128
"""Sets of rows are masks of two words."""

_SUBSETS: Final = 400_000
"""Subset sums of one half that a search enumerates."""
_CUT: Final = 4.0
"""Deviations of the noise that a residual may have."""
_BEAM: Final = 20_000
_WIDE: Final = 3.0
"""Deviations above the mean that a bin's number of rows may have, under noise."""


@dataclass(frozen=True)
class Reading:
    """What one vector gave away.

    rows: chosen by the bank. read: rows whose bin was decoded rightly. bound: rows that the meter
    admits. seconds: of the decoding.
    """

    rows: int
    read: int
    bound: float
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every chosen row was read."""
        return self.read == self.rows


def exact_cover(rows: int, bins: int, bits: int, sigma: float, seed: int = 1) -> Reading:
    """Read the bins of chosen rows from one answered vector.

    Args:
        rows: how many rows the bank gives a weight. bins: of the column, drawn uniformly.
        bits: P of the query. sigma: standard deviation of the noise, in integer units.

    Returns: the rows read, and the rows whose bins one vector can tell at most by the meter.
    Raises: ValueError: more rows than MOST_ROWS.
    """
    if rows > MOST_ROWS:
        raise ValueError(f"exact cover reads {MOST_ROWS} rows a vector at most, and {rows} were asked")
    secret, weights, sums = opened(rows, bins, bits, sigma, seed)
    began = perf_counter()
    found = decode(weights, sums, bits, sigma)
    seconds = perf_counter() - began
    bound = vector_bits(bins, [(bits, sigma)]) / log2(bins)
    return Reading(rows, int((found == secret).sum()), bound, seconds)


def opened(rows: int, bins: int, bits: int, sigma: float, seed: int) -> tuple[I64, I64, I64]:
    """A model of one answer: secret bins (rows,), the bank's weights (rows,), sums modulo 2^bits (bins,)."""
    source = draw(seed, "exact cover", rows, bins, bits)
    secret = source.integers(0, bins, rows)
    weights = source.integers(0, 1 << bits, rows)
    sums = np.zeros(bins, dtype=np.int64)
    np.add.at(sums, secret, weights)
    noise = histogram_noise(seed.to_bytes(32, "little"), b"exact cover", [0], [bins], sigma)
    return secret, weights, (sums + noise) & _mask(bits)


def decode(weights: I64, sums: I64, bits: int, sigma: float) -> I64:
    """The bin of every row, shape (rows,); UNKNOWN where the search does not find it."""
    found = np.full(len(weights), UNKNOWN)
    if sigma > 0:
        return _beam(weights, sums, bits, sigma, found)
    open_bins = list(range(len(sums)))
    while solved := list(_solved(weights, sums, bits, open_bins, np.flatnonzero(found == UNKNOWN))):
        for k, chosen in solved:
            if (found[chosen] == UNKNOWN).all():
                found[chosen] = k
            open_bins.remove(k)
    if len(open_bins) == 1:
        found[found == UNKNOWN] = open_bins[0]
    return found


def _solved(weights: I64, sums: I64, bits: int, open_bins: list[int], rows: I64) -> Iterator[tuple[int, I64]]:
    """Bins that one subset of the open rows alone fits."""
    halves = _halves(weights, rows, bits)
    for k in open_bins:
        masks, _ = _fitting(halves, int(sums[k]), bits, 0.0)
        if len(masks) == 1:
            yield k, rows[_members(masks[0], len(rows))]


@dataclass(frozen=True)
class _Halves:
    """Subset sums of two halves of some rows. first: sorted. masks: of the rows, shape (subsets, 2)."""

    first: I64
    first_masks: U64
    second: I64
    second_masks: U64


def _halves(weights: I64, rows: I64, bits: int) -> _Halves:
    middle = len(rows) // 2
    first, first_masks = _subsets(weights[rows], np.arange(middle), bits)
    second, second_masks = _subsets(weights[rows], np.arange(middle, len(rows)), bits)
    order = np.argsort(first, kind="stable")
    return _Halves(first[order], first_masks[order], second, second_masks)


def _subsets(weights: I64, places: I64, bits: int) -> tuple[I64, U64]:
    """Sums and masks of the smallest subsets of some places, as many sizes as the limit admits."""
    sums, masks, count = [np.zeros(1, dtype=np.int64)], [np.zeros((1, 2), dtype=np.uint64)], 1
    for size in range(1, len(places) + 1):
        count += comb(len(places), size)
        if count > _SUBSETS:
            break
        chosen = places[np.array(list(combinations(range(len(places)), size)))]
        sums.append(weights[chosen].sum(axis=1) & _mask(bits))
        masks.append(np.stack([_words(chosen, word) for word in (0, 1)], axis=1))
    return np.concatenate(sums), np.concatenate(masks)


def _words(chosen: I64, word: int) -> U64:
    """One word of the mask of every subset. chosen: places, shape (subsets, size)."""
    inside = chosen // 64 == word
    flags = np.where(inside, np.uint64(1) << (chosen % 64).astype(np.uint64), np.uint64(0))
    out: U64 = np.bitwise_or.reduce(flags, axis=1)
    return out


def _fitting(halves: _Halves, target: int, bits: int, sigma: float) -> tuple[U64, I64]:
    """Masks of the subsets whose sum is the target but for noise, shape (found, 2), and their residuals."""
    reach, whole = int(_CUT * sigma), 1 << bits
    wanted = (target - halves.second - reach) & _mask(bits)
    pairs = []
    for shift in (0, whole):  # a window that passes 2^bits goes on at 0
        low = np.searchsorted(halves.first, wanted - shift, side="left")
        high = np.searchsorted(halves.first, wanted - shift + 2 * reach, side="right")
        pairs.append(_pairs(low, high))
    first, second = np.concatenate(pairs, axis=1)
    residual = (target - halves.first[first] - halves.second[second] + reach) & _mask(bits)
    return halves.first_masks[first] | halves.second_masks[second], residual - reach


def _small(fitting: tuple[U64, I64], most: int) -> tuple[U64, I64]:
    """Those of at most so many rows."""
    masks, residual = fitting
    kept = np.bitwise_count(masks).sum(axis=1) <= most
    return masks[kept], residual[kept]


def _pairs(low: I64, high: I64) -> I64:
    """Every (first, second) with low[second] <= first < high[second], shape (2, pairs)."""
    counts = np.maximum(high - low, 0)
    second = np.repeat(np.arange(len(low)), counts)
    within = np.arange(len(second)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack((np.repeat(low, counts) + within, second))


def _beam(weights: I64, sums: I64, bits: int, sigma: float, found: I64) -> I64:
    """The likeliest exact cover: bins in the order of how few subsets fit them, partial covers by their cost."""
    rows = np.arange(len(weights))
    halves = _halves(weights, rows, bits)
    mean = len(weights) / len(sums)
    most = ceil(mean + _WIDE * sqrt(mean))
    fitting = [_small(_fitting(halves, int(total), bits, sigma), most) for total in sums]
    order = sorted(range(len(sums)), key=lambda k: len(fitting[k][0]))
    taken, cost = np.zeros((1, 2), dtype=np.uint64), np.zeros(1)
    chosen = np.zeros((1, 0), dtype=np.int64)
    for k in order:
        masks, residual = fitting[k]
        state, subset = _disjoint(taken, masks)
        total = cost[state] + (residual[subset] / sigma) ** 2
        best = np.argsort(total, kind="stable")[:_BEAM]
        state, subset, cost = state[best], subset[best], total[best]
        taken = taken[state] | masks[subset]
        chosen = np.concatenate((chosen[state], subset[:, None]), axis=1)
    complete = np.flatnonzero((taken == _everything(len(rows))).all(axis=1))
    if len(complete):
        for k, subset in zip(order, chosen[complete[0]], strict=True):
            found[_members(fitting[k][0][subset], len(rows))] = k
    return found


def _disjoint(taken: U64, masks: U64) -> tuple[I64, I64]:
    """Pairs of a partial cover and a subset that share no row, by their indices."""
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, len(taken), 256):
        some = taken[start : start + 256]
        state, subset = np.nonzero(~((some[:, None, :] & masks[None]) != 0).any(axis=2))
        pairs.append(np.stack((state + start, subset)))
    state, subset = np.concatenate(pairs, axis=1)
    return state, subset


def _members(mask: U64, rows: int) -> I64:
    """Places of the rows in a mask of two words."""
    places = np.arange(rows)
    flags = (mask[places // 64] >> (places % 64).astype(np.uint64)) & np.uint64(1)
    return np.flatnonzero(flags)


def _everything(rows: int) -> U64:
    """The mask of all rows."""
    return np.concatenate([_words(np.arange(rows)[None], word) for word in (0, 1)])


def _mask(bits: int) -> int:
    return (1 << bits) - 1
