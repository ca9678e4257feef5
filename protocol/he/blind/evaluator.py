"""The partner's half of the blind product: the hint once, then an answer a query. It has no way to decrypt.

    H_r    = sum_i M[r,i]·A[i] + sum_i rho_r[i]·A'[i] + rho'_r                 (mod q), top 64 bits
    beta_r = sum_i M[r,i]·b[i] + sum_i rho_r[i]·b'[i] + E_r + Delta·noise_r    (mod q), top 64 bits

The masks rho_r, rho'_r keep the hint from telling anything of M; the flooding E_r keeps the answer's error from it.
Source: docs/protocols/blind-product.md; SimplePIR, eprint 2022/949; Tiptoe, SOSP 2023.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from protocol.errors import RefusedError
from protocol.he import ring
from protocol.he.base import Body, CheckedQuery, Ciphertext, Guard, OneHot
from protocol.he.blind.flooding import flooding
from protocol.he.blind.packing import DELTA_SHIFT
from protocol.he.blind.public import hint_id
from protocol.he.checks import body_of, require_length
from protocol.he.kernels import join_fives, small_times_words, sum_words
from protocol.he.parameters import LIMBS, LOW_BITS, MAX_ROWS, N
from protocol.he.streams import I8, centred_binomial, derive, tag, ternary
from protocol.messages import F64, I64, U64

_POOL: Final = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="hint")
_LOW_MASK: Final = np.int64((1 << LOW_BITS) - 1)
_ROWS: Final = 128
"""Rows of a hint that are computed at a time: their limbs take 128 KiB each."""


@dataclass(frozen=True)
class BlindEvaluator:
    """Answers queries under one seed. key: the partner's, never sent. guard: its budgets."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    seed: bytes
    guard: Guard = field(repr=False)

    def __post_init__(self) -> None:
        if self.matrix.n > MAX_ROWS:
            raise RefusedError(self.bank, f"aligned more rows than the {MAX_ROWS} of one hint", "align fewer rows")
        self.guard.admit_seed(self.seed, self.matrix.digest)

    @cached_property
    def hint_id(self) -> bytes:
        """Names this hint."""
        return hint_id(self.seed, self.matrix.digest)

    @cached_property
    def masks(self) -> I8:
        """rho, shape (R, N): a stream of its own a row, from the partner's key, the matrix and the seed."""
        out = np.empty((self.matrix.rows, N), dtype=np.int8)
        for r in range(self.matrix.rows):
            out[r] = ternary(self._row_key("rho", r), N)
        return out

    @cached_property
    def _naming(self) -> bytes:
        """The key under which queries are named: the bank cannot make two of one name."""
        return derive(self.key, "queries", self.hint_id)

    def hint(self, rows: range | None = None) -> U64:
        """The masked rows, top 64 bits, shape (R, N): once a matrix; it takes about as long as 100 answers.

        rows: of it that are wanted, each the same whichever others are; all without.
        """
        wanted = range(self.matrix.rows) if rows is None else rows
        blocks = -(-self.matrix.n // N)
        public = ring.public_transform(self.seed, blocks).conj()
        out = np.empty((len(wanted), N), dtype=np.uint64)

        def compute(begin: int) -> None:
            some = wanted[begin : begin + _ROWS]
            limbs = self._masked(public[0], some)
            for first in range(0, blocks, ring.BLOCKS_A_ROUND):
                last = min(first + ring.BLOCKS_A_ROUND, blocks)
                self._add_product(public[1 + first : 1 + last], first, some, limbs)
            out[begin : begin + len(some)] = ring.from_limbs(limbs).high

        for _ in _POOL.map(compute, range(0, len(wanted), _ROWS)):  # rows are apart: any order is the same
            pass
        return out

    @property
    def modular(self) -> bool:
        """Sums are taken modulo 2^42."""
        return True

    def check(self, body: Body, labels: Sequence[str], columns: Sequence[int]) -> CheckedQuery[Ciphertext]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        query = self._checked(body, len(labels), columns)
        names = tuple(tag(self._naming, high.data, low.data) for high, low in zip(query.high, query.low, strict=True))
        cost = self._cost(len(columns), int(self.matrix.starts_of(columns)[-1]))
        return CheckedQuery(query, tuple(labels), names, tuple(columns), self.hint_id, cost)

    def answer(self, query: CheckedQuery[Ciphertext], noise: I64) -> U64:
        """The sealed sums of the columns' rows, top 64 bits, shape (B, K)."""
        body, columns, n = query.body, query.asked, self.matrix.n
        rows = self.matrix.rows_of(columns)
        sums = sum_words(self.matrix, columns, body.high[:, :n], body.low[:, :n])
        sums += self._masked_sums(body.high[:, n:], join_fives(body.low[:, n:]), rows)
        high, low = sums[: len(query.labels)], sums[len(query.labels) :].view(np.int64)
        for k, (label, name) in enumerate(zip(query.labels, query.names, strict=True)):
            error = self._flood(label, name, rows)
            low[k] += error & _LOW_MASK
            high[k] += (error >> LOW_BITS).view(np.uint64)
        high += (low >> LOW_BITS).view(np.uint64)
        high += noise.view(np.uint64) << np.uint64(DELTA_SHIFT)
        return high

    def _checked(self, body: Body, count: int, columns: Sequence[int]) -> Ciphertext:
        length, query = self.matrix.n + N, body_of(body, Ciphertext, self.bank)
        fits = query.high.shape == (count, length) and query.low.shape == (count, length, 5)
        require_length(fits, self.bank)
        self.matrix.require_columns(columns, self.bank)
        return query

    def _cost(self, columns: int, rows: int) -> float:
        """Flood budget of one answer: sum over its rows of 10.5 (||M_r||^2 + 2 N)."""
        return 10.5 * (columns * len(self.matrix.positions) + 2 * N * rows)

    def _masked_sums(self, high: U64, low: U64, rows: I64) -> U64:
        """rho·b' in words, shape (2B, K): highs, then lows, which may be negative; not carried yet."""
        words = np.concatenate((high, low))
        out = np.empty((len(words), len(rows)), dtype=np.uint64)
        small_times_words(words, self.masks, rows, out)
        return out

    def _flood(self, label: str, query: bytes, rows: I64) -> I64:
        """E of some rows, drawn by row, so that a repeat of the query, and only that, repeats it."""
        key = derive(self.key, "flood", self.hint_id, label.encode(), query)
        return flooding(key, self.matrix.rows)[rows]

    def _row_key(self, purpose: str, row: int) -> bytes:
        return derive(self.key, purpose, self.matrix.digest, self.seed, row.to_bytes(8, "little"))

    def _masked(self, public: ring.C128, rows: range) -> I64:
        """rho·A' + rho' of some rows, as limbs, shape (len(rows), 4, N)."""
        limbs = np.empty((len(rows), LIMBS, N), dtype=np.int64)
        for k, r in enumerate(rows):
            limbs[k] = ring.untransform(public * ring.transform(self.masks[r].astype(np.float64)))
            limbs[k, 0] += centred_binomial(self._row_key("rho'", r), N)
        return limbs

    def _add_product(self, public: ring.C128, first: int, rows: range, limbs: I64) -> None:
        """Add some rows of M·A over a few blocks, summed before rounding, to their limbs."""
        offsets = self.matrix.offsets
        column = int(np.searchsorted(offsets, rows.start, side="right")) - 1
        while column < len(self.matrix.sizes) and offsets[column] < rows.stop:
            begin, end = max(rows.start, int(offsets[column])), min(rows.stop, int(offsets[column + 1]))
            bins = slice(begin - int(offsets[column]), end - int(offsets[column]))
            total = np.zeros((end - begin, LIMBS, ring.HALF), dtype=np.complex128)
            term = np.empty_like(total)
            for block, transformed in enumerate(public, start=first):
                np.multiply(ring.transform(self._block(column, block)[bins])[:, None], transformed, out=term)
                total += term
            limbs[begin - rows.start : end - rows.start] += ring.untransform(total)
            column += 1

    def _block(self, column: int, block: int) -> F64:
        """The rows of one column in one block, written out, shape (size of the column, N)."""
        positions = self.matrix.positions
        begin, end = np.searchsorted(positions, (block * N, (block + 1) * N))
        out = np.zeros((int(self.matrix.sizes[column]), N))
        out[self.matrix.bins[begin:end, column], positions[begin:end] - block * N] = 1.0
        return out
