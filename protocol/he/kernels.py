"""The loops that take the time: sums a bin, and two products with small integers. All wrap mod 2^64.

Sums are taken over *lanes*: the words of several vectors laid side by side, 1, 2 or 8 to a position, so that one
load of a bin's number serves them all, and eight are one vector instruction.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from protocol.compiled import compiled, of_types
from protocol.he.base import OneHot
from protocol.he.streams import I8
from protocol.messages import I64, U8, U64

_TILE: Final = 4096
"""Positions in a pass: their lanes and bins stay in cache."""


def sum_words(matrix: OneHot, columns: Sequence[int], words: U64, fives: U8 | None = None) -> U64:
    """M·b for the rows of some columns, a line a vector, shape (W, K), not carried.

    words: (B, n). fives: further vectors of 40-bit words, as five bytes each, (B, n, 5), summed after the first.
    Raises: ValueError: arrays of other shapes or types, or columns that do not exist.
    """
    _require_summable(matrix, columns, words, fives)
    count = len(words) + (0 if fives is None else len(fives))
    starts, places = matrix.starts_of(columns), np.array(columns, dtype=np.int64)
    lanes = np.zeros(lanes_shape(count, min(matrix.n, _TILE)), dtype=np.uint64)
    out = np.zeros((lanes.shape[0], int(starts[-1]), lanes.shape[2]), dtype=np.uint64)
    add = {1: _add_ones, 2: _add_pairs, 8: _add_eights}[lanes.shape[2]]
    for begin in range(0, matrix.n, _TILE):
        end = min(begin + _TILE, matrix.n)
        _lay_words(words[:, begin:end], lanes)
        if fives is not None:
            _lay_fives(fives[:, begin:end], len(words), lanes)
        first, last = np.searchsorted(matrix.positions, (begin, end))
        add(matrix.bins[first:last], places, starts, matrix.positions[first:last] - begin, lanes, out)
    return np.ascontiguousarray(out.transpose(0, 2, 1)).reshape(-1, out.shape[1])[:count]


def _require_summable(matrix: OneHot, columns: Sequence[int], words: U64, fives: U8 | None) -> None:
    """Raises: ValueError: an index would lead the loops out of an array."""
    matrix.require_inside()
    fits = words.ndim == 2 and words.shape[1] == matrix.n and words.dtype == np.uint64
    if fives is not None:
        fits &= fives.ndim == 3 and fives.shape[1:] == (matrix.n, 5) and fives.dtype == np.uint8
    if not fits or not all(0 <= j < len(matrix.sizes) for j in columns):
        raise ValueError("the vectors or columns do not fit the matrix")


def lanes_shape(words: int, n: int) -> tuple[int, int, int]:
    """Shape (C, n, L) in which so many words a position are summed best; the last lanes may stay empty."""
    return (1, n, words) if words <= 2 else (-(-words // 8), n, 8)


def _add_numpy(bins: U8, columns: I64, starts: I64, positions: I64, lanes: U64, out: U64) -> None:
    with np.errstate(over="ignore"):
        for c, w in np.ndindex(lanes.shape[0], lanes.shape[2]):
            at, into = lanes[c, positions, w], np.zeros(out.shape[1], dtype=np.uint64)
            for k, j in enumerate(columns):
                np.add.at(into, starts[k] + bins[:, j].astype(np.int64), at)
            out[c, :, w] += into


@compiled(fallback=_add_numpy)
def _add_ones(bins: U8, columns: I64, starts: I64, positions: I64, lanes: U64, out: U64) -> None:
    """out[0, starts[k] + bins[i, columns[k]], 0] += lanes[0, positions[i], 0] for all i, k."""
    for i in range(np.uintp(bins.shape[0])):
        first = lanes[0, np.uintp(positions[i]), 0]
        for k in range(np.uintp(columns.shape[0])):
            out[0, np.uintp(starts[k]) + np.uintp(bins[i, np.uintp(columns[k])]), 0] += first


@compiled(fallback=_add_numpy)
def _add_pairs(bins: U8, columns: I64, starts: I64, positions: I64, lanes: U64, out: U64) -> None:
    """The same for two lanes."""
    for i in range(np.uintp(bins.shape[0])):
        p = np.uintp(positions[i])
        first, second = lanes[0, p, 0], lanes[0, p, 1]
        for k in range(np.uintp(columns.shape[0])):
            r = np.uintp(starts[k]) + np.uintp(bins[i, np.uintp(columns[k])])
            out[0, r, 0] += first
            out[0, r, 1] += second


@compiled(fallback=_add_numpy)
def _add_eights(bins: U8, columns: I64, starts: I64, positions: I64, lanes: U64, out: U64) -> None:
    """The same for eights: written out, for the compiler joins eight such lines into one instruction."""
    for c in range(np.uintp(lanes.shape[0])):
        for i in range(np.uintp(bins.shape[0])):
            p = np.uintp(positions[i])
            v0, v1, v2, v3 = lanes[c, p, 0], lanes[c, p, 1], lanes[c, p, 2], lanes[c, p, 3]
            v4, v5, v6, v7 = lanes[c, p, 4], lanes[c, p, 5], lanes[c, p, 6], lanes[c, p, 7]
            for k in range(np.uintp(columns.shape[0])):
                r = np.uintp(starts[k]) + np.uintp(bins[i, np.uintp(columns[k])])
                out[c, r, 0] += v0
                out[c, r, 1] += v1
                out[c, r, 2] += v2
                out[c, r, 3] += v3
                out[c, r, 4] += v4
                out[c, r, 5] += v5
                out[c, r, 6] += v6
                out[c, r, 7] += v7


def _lay_words_numpy(words: U64, lanes: U64) -> None:
    for k, vector in enumerate(words):
        lanes[k // lanes.shape[2], : len(vector), k % lanes.shape[2]] = vector


@compiled(fallback=_lay_words_numpy)
def _lay_words(words: U64, lanes: U64) -> None:
    """Lay word vectors, shape (B, m), side by side."""
    width = np.uintp(lanes.shape[2])
    for k in range(np.uintp(words.shape[0])):
        for i in range(np.uintp(words.shape[1])):
            lanes[k // width, i, k % width] = words[k, i]


def _lay_fives_numpy(fives: U8, first: int, lanes: U64) -> None:
    for k, vector in enumerate(join_fives(fives), start=first):
        lanes[k // lanes.shape[2], : len(vector), k % lanes.shape[2]] = vector


@compiled(fallback=_lay_fives_numpy)
def _lay_fives(fives: U8, first: int, lanes: U64) -> None:
    """Lay vectors of five-byte words, shape (B, m, 5), side by side, from lane `first` on."""
    width = np.uintp(lanes.shape[2])
    for k in range(np.uintp(fives.shape[0])):
        c, w = (np.uintp(first) + k) // width, (np.uintp(first) + k) % width
        for i in range(np.uintp(fives.shape[1])):
            lower = np.uint64(fives[k, i, 0]) | np.uint64(fives[k, i, 1]) << np.uint64(8)
            upper = np.uint64(fives[k, i, 3]) << np.uint64(24) | np.uint64(fives[k, i, 4]) << np.uint64(32)
            lanes[c, i, w] = lower | np.uint64(fives[k, i, 2]) << np.uint64(16) | upper


def join_fives(fives: U8) -> U64:
    """Words of 40 bits from their five bytes, least first: (..., 5) to (...)."""
    wide = np.zeros((*fives.shape[:-1], 8), dtype=np.uint8)
    wide[..., :5] = fives
    joined: U64 = wide.view("<u8")[..., 0]
    return joined


def _times_small_numpy(words: U64, small: I8, rows: I64, out: U64) -> None:
    with np.errstate(over="ignore"):
        for b in range(words.shape[0]):
            out[b] = (small[rows].astype(np.int64).view(np.uint64) * words[b]).sum(axis=1, dtype=np.uint64)


@compiled(fallback=_times_small_numpy)
def _small_words(words: U64, small: I8, rows: I64, out: U64) -> None:
    for k in range(rows.shape[0]):
        row = small[np.uintp(rows[k])]
        for b in range(words.shape[0]):
            vector, total = words[b], np.uint64(0)
            for t in range(row.shape[0]):
                total += np.uint64(np.int64(row[t])) * vector[t]
            out[b, k] = total


def _words_small_numpy(words: U64, small: I8, rows: I64, out: U64) -> None:
    with np.errstate(over="ignore"):
        for b in range(small.shape[0]):
            out[b] = (words[rows] * small[b].astype(np.int64).view(np.uint64)).sum(axis=1, dtype=np.uint64)


@compiled(fallback=_words_small_numpy)
def _words_small(words: U64, small: I8, rows: I64, out: U64) -> None:
    for k in range(rows.shape[0]):
        row = words[np.uintp(rows[k])]
        for b in range(small.shape[0]):
            vector, total = small[b], np.uint64(0)
            for t in range(row.shape[0]):
                total += row[t] * np.uint64(np.int64(vector[t]))
            out[b, k] = total


def small_times_words(words: U64, small: I8, rows: I64, out: U64) -> None:
    """out[b, k] = <small[rows[k]], words[b]> mod 2^64; words: (B, N), small: (R, N), out: (B, K).

    Raises: ValueError: arrays of other shapes or types, or rows that do not exist.
    """
    _require_product(words, small, len(words), len(small), rows, out)
    _small_words(words, small, rows, out)


def words_times_small(words: U64, small: I8, rows: I64, out: U64) -> None:
    """out[b, k] = <words[rows[k]], small[b]> mod 2^64; words: (R, N), small: (B, N), out: (B, K).

    Raises: ValueError: arrays of other shapes or types, or rows that do not exist.
    """
    _require_product(words, small, len(small), len(words), rows, out)
    _words_small(words, small, rows, out)


def _require_product(words: U64, small: I8, batch: int, height: int, rows: I64, out: U64) -> None:
    typed = of_types((words, small, rows, out), np.uint64, np.int8, np.int64, np.uint64)
    shaped = words.ndim == small.ndim == 2 and words.shape[1] == small.shape[1] and rows.ndim == 1
    if not typed or not shaped or out.shape != (batch, len(rows)):
        raise ValueError("the arrays of a product do not fit each other")
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < height:
        raise ValueError("a product was asked of a row that does not exist")
