"""The partner's half of the blind product over whole numbers. It has no way to decrypt.

The scheme is that of `evaluator.py` in the ring of `wide_ring.py`; answers carry no noise of the partner's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from protocol.errors import RefusedError
from protocol.he.base import CheckedQuery, Guard, Integers
from protocol.he.blind.public import hint_id
from protocol.he.blind.wide_flooding import flood_cost, wide_flooding
from protocol.he.blind.wide_hint import masked_rows
from protocol.he.blind.wide_ring import (
    CUT_WORDS,
    DELTA_WORDS,
    FLOOD_WORDS,
    MAX_INTEGER_ROWS,
    WORDS,
    N,
    carried,
    from_octets,
    to_octets,
)
from protocol.he.checks import body_of, require_length
from protocol.he.integers import CHUNK, U16, IntegerBody, WideCiphertext, sum_words16
from protocol.he.streams import I8, centred_binomial, derive, tag, ternary
from protocol.messages import I64, U8


@dataclass(frozen=True)
class WideEvaluator:
    """Answers queries under one seed. key: the partner's, never sent. guard: its budgets."""

    bank: str
    key: bytes = field(repr=False)
    matrix: Integers = field(repr=False)
    seed: bytes
    guard: Guard = field(repr=False)

    def __post_init__(self) -> None:
        if self.matrix.n > MAX_INTEGER_ROWS:
            raise RefusedError(
                self.bank, f"aligned more rows than the {MAX_INTEGER_ROWS} of one hint", "align fewer rows"
            )
        self.guard.admit_seed(self.seed, self.matrix.digest)

    @cached_property
    def hint_id(self) -> bytes:
        """Names this hint."""
        return hint_id(self.seed, self.matrix.digest)

    @cached_property
    def masks(self) -> I8:
        """rho, shape (R, N): a stream of its own a row, from the partner's key, the matrix and the seed."""
        return self._rows_of("rho", ternary)

    @cached_property
    def _naming(self) -> bytes:
        """The key under which queries are named: the bank cannot make two of one name."""
        return derive(self.key, "queries", self.hint_id)

    def hint(self) -> U8:
        """The masked rows, top 80 bits, shape (R, N, 10): once a matrix."""
        return masked_rows(self.matrix, self.seed, self.masks, self._rows_of("rho'", centred_binomial))

    @property
    def modular(self) -> bool:
        """Sums are taken modulo 2^64."""
        return True

    def check(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> CheckedQuery[U8]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        residues = self._checked(body, len(labels), rows)
        names = tuple(tag(self._naming, query.data) for query in residues)
        cost = flood_cost(self.matrix.norms[rows])
        return CheckedQuery(residues, tuple(labels), names, tuple(rows.tolist()), self.hint_id, cost)

    def answer(self, query: CheckedQuery[U8], added: I64) -> U8:
        """The sealed sums of some rows, top 80 bits, shape (B, K, 10)."""
        rows = np.array(query.asked, dtype=np.int64)
        words, n = from_octets(query.body), self.matrix.n
        sums = sum_words16(self.matrix, rows, words[:, :n]) + self._masked_sums(words[:, n:], rows)
        for k, (label, name) in enumerate(zip(query.labels, query.names, strict=True)):
            sums[k, :FLOOD_WORDS] += self._flood(label, name, rows)
        whole = np.ascontiguousarray(added, dtype="<i8").view("<u2").reshape(*added.shape, -1)
        sums[:, DELTA_WORDS:] += whole.transpose(0, 2, 1)
        return to_octets(carried(sums)[0][:, CUT_WORDS:])

    def _checked(self, body: IntegerBody, count: int, rows: I64) -> U8:
        residues = body_of(body, WideCiphertext, self.bank).residues
        require_length(residues.shape == (count, self.matrix.n + N, 2 * WORDS), self.bank)
        self.matrix.require_rows(rows, self.bank)
        return np.ascontiguousarray(residues)

    def _masked_sums(self, words: U16, rows: I64) -> I64:
        """rho·b' in words, not carried, shape (B, 13, K)."""
        out = np.zeros((len(words), len(rows), WORDS), dtype=np.int64)
        for begin in range(0, N, CHUNK):
            masks = self.masks[rows, begin : begin + CHUNK].astype(np.float64)
            out += (masks @ words[:, begin : begin + CHUNK].astype(np.float64)).astype(np.int64)
        return out.transpose(0, 2, 1)

    def _flood(self, label: str, query: bytes, rows: I64) -> I64:
        """E of some rows, drawn by row, so that a repeat of the query, and only that, repeats it."""
        key = derive(self.key, "flood", self.hint_id, label.encode(), query)
        return wide_flooding(key, self.matrix.rows_count)[:, rows]

    def _rows_of(self, purpose: str, draw: Callable[[bytes, int], I8 | I64]) -> I8:
        out = np.empty((self.matrix.rows_count, N), dtype=np.int8)
        for r in range(self.matrix.rows_count):
            out[r] = draw(derive(self.key, purpose, self.matrix.digest, self.seed, r.to_bytes(8, "little")), N)
        return out
