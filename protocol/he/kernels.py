"""The three loops that take the time: sums a bin, and two products with small integers. All wrap mod 2^64."""

import numpy as np

from protocol.compiled import compiled
from protocol.he.streams import I8
from protocol.messages import I64, U8, U64


def _sum_words_numpy(bins: U8, columns: I64, starts: I64, positions: I64, values: U64, out: U64) -> None:
    with np.errstate(over="ignore"):
        at = values[positions]
        for k, j in enumerate(columns):
            np.add.at(out, starts[k] + bins[:, j].astype(np.int64), at)


@compiled(fallback=_sum_words_numpy)
def sum_words(bins: U8, columns: I64, starts: I64, positions: I64, values: U64, out: U64) -> None:
    """out[starts[k] + bins[i, columns[k]]] += values[positions[i]] for all i, k; values, out: (.., W) words."""
    width = values.shape[1]
    if width == 2:
        for i in range(bins.shape[0]):
            first, second = values[positions[i], 0], values[positions[i], 1]
            for k in range(columns.shape[0]):
                r = starts[k] + bins[i, columns[k]]
                out[r, 0] += first
                out[r, 1] += second
    elif width == 1:
        for i in range(bins.shape[0]):
            first = values[positions[i], 0]
            for k in range(columns.shape[0]):
                out[starts[k] + bins[i, columns[k]], 0] += first
    else:
        for i in range(bins.shape[0]):
            p = positions[i]
            for k in range(columns.shape[0]):
                r = starts[k] + bins[i, columns[k]]
                for w in range(width):
                    out[r, w] += values[p, w]


def _times_small_numpy(words: U64, small: I8, rows: I64, out: U64) -> None:
    with np.errstate(over="ignore"):
        for b in range(words.shape[0]):
            out[b] = (small[rows].astype(np.int64).view(np.uint64) * words[b]).sum(axis=1, dtype=np.uint64)


@compiled(fallback=_times_small_numpy)
def small_times_words(words: U64, small: I8, rows: I64, out: U64) -> None:
    """out[b, k] = <small[rows[k]], words[b]> mod 2^64; words: (B, N), small: (R, N), out: (B, K)."""
    for k in range(rows.shape[0]):
        for b in range(words.shape[0]):
            total = np.uint64(0)
            for t in range(words.shape[1]):
                total += np.uint64(np.int64(small[rows[k], t])) * words[b, t]
            out[b, k] = total


def _words_small_numpy(words: U64, small: I8, rows: I64, out: U64) -> None:
    with np.errstate(over="ignore"):
        for b in range(small.shape[0]):
            out[b] = (words[rows] * small[b].astype(np.int64).view(np.uint64)).sum(axis=1, dtype=np.uint64)


@compiled(fallback=_words_small_numpy)
def words_times_small(words: U64, small: I8, rows: I64, out: U64) -> None:
    """out[b, k] = <words[rows[k]], small[b]> mod 2^64; words: (R, N), small: (B, N), out: (B, K)."""
    for k in range(rows.shape[0]):
        for b in range(small.shape[0]):
            total = np.uint64(0)
            for t in range(words.shape[1]):
                total += words[rows[k], t] * np.uint64(np.int64(small[b, t]))
            out[b, k] = total
