"""The partner's half of engine `ckks`: diagonals of its matrix times rotations of the vector."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, sqrt
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from protocol.errors import IntegrityError
from protocol.he.base import Body, CkksVectors, Guard, OneHot, request_digest
from protocol.he.ckks.scheme import MATRIX_SCALE, SLOTS, VECTOR_SCALE, context, read, read_ciphertext
from protocol.he.octets import padded, through_file, to_words
from protocol.he.streams import tag
from protocol.messages import F64, I64, U64


@dataclass(frozen=True)
class CkksEvaluator:
    """The partner's half. public: the bank's keys for rotations."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    public: bytes = field(repr=False)
    guard: Guard = field(repr=False)

    @cached_property
    def _context(self) -> Any:
        return context()

    @cached_property
    def _rotations(self) -> Any:
        keys = seal.GaloisKeys()
        read(self.bank, self.public, lambda path: keys.load(self._context, path))
        return keys

    def hint(self) -> U64:
        """None is needed; the bank's keys are read, so that bad ones are refused at once."""
        _ = self._rotations
        return np.zeros((self.matrix.rows, 0), dtype=np.uint64)

    def answer(self, body: Body, labels: Sequence[str], columns: Sequence[int], noise: I64) -> U64:
        """Ciphertexts of M[rows of columns]·u + noise as words, a line for each vector and S of its rows."""
        vectors = self._checked(body, len(labels), columns)
        for label, blocks, added in zip(labels, _by_vector(body, len(labels)), noise, strict=True):
            request = request_digest(tag(self.key, *blocks), columns, added)
            self.guard.admit_answer(self.matrix.digest, label, request, 0.0)
        dense = [self._dense(columns, block) for block in range(-(-self.matrix.n // SLOTS))]
        parts = []
        for begin in range(0, noise.shape[1], SLOTS):
            rows = slice(begin, begin + SLOTS)
            sums = self._products(vectors, [block[rows] for block in dense])
            parts.append([self._noisy(total, added[rows]) for total, added in zip(sums, noise, strict=True)])
        return to_words([parts[p][v] for v in range(len(labels)) for p in range(len(parts))])

    def _checked(self, body: Body, count: int, columns: Sequence[int]) -> list[list[Any]]:
        """The vectors' ciphertexts, by vector and block."""
        if not isinstance(body, CkksVectors):
            raise IntegrityError(self.bank, "sent a query of another engine", "set the same engine at both nodes")
        if len(body.blocks) != count * -(-self.matrix.n // SLOTS):
            raise IntegrityError(
                self.bank, "sent a query of another length than the hint", "run `bank-node align` again"
            )
        self.matrix.require_columns(columns, self.bank)
        return [
            [read_ciphertext(self._context, block, self.bank) for block in blocks] for blocks in _by_vector(body, count)
        ]

    def _dense(self, columns: Sequence[int], block: int) -> F64:
        """The rows of M that belong to the columns, over the positions of one block, shape (K, S)."""
        matrix, first = self.matrix, block * SLOTS
        begin, end = np.searchsorted(matrix.positions, (first, first + SLOTS))
        starts = matrix.starts_of(columns)
        out = np.zeros((int(starts[-1]), SLOTS))
        for start, j in zip(starts, columns, strict=False):
            out[start + matrix.bins[begin:end, j].astype(np.int64), matrix.positions[begin:end] - first] = 1.0
        return out

    def _products(self, vectors: list[list[Any]], dense: list[F64]) -> list[Any]:
        """Sums of every row in slot s = row modulo R, one ciphertext a vector."""
        padded = 1 << (len(dense[0]) - 1).bit_length()
        baby = 1 << ceil(sqrt(padded)).bit_length() - 1
        turned = [[self._turned(block, baby) for block in blocks] for blocks in vectors]
        totals: list[Any] = [None] * len(vectors)
        for giant in reversed(range(padded // baby)):
            totals = [total and self._rotated(total, baby) for total in totals]
            for block, rows in enumerate(dense):
                for step in range(baby):
                    plain = self._encoded(_diagonal(rows, padded, giant * baby, step), MATRIX_SCALE)
                    if plain:
                        totals = [self._with(t, v[block][step], plain) for t, v in zip(totals, turned, strict=True)]
        step = padded
        while step < SLOTS:
            totals = [self._sum(total, self._rotated(total, step)) for total in totals]
            step *= 2
        return totals

    @cached_property
    def _evaluator(self) -> Any:
        return seal.Evaluator(self._context)

    def _turned(self, block: Any, count: int) -> list[Any]:
        """A ciphertext rotated by 0 .. count - 1."""
        out = [block]
        for _ in range(1, count):
            out.append(self._rotated(out[-1], 1))
        return out

    def _rotated(self, value: Any, step: int) -> Any:
        out = seal.Ciphertext(self._context)
        self._evaluator.rotate_vector(value, step, self._rotations, out)
        return out

    def _sum(self, left: Any, right: Any) -> Any:
        out = seal.Ciphertext(self._context)
        self._evaluator.add(left, right, out)
        return out

    def _with(self, total: Any, value: Any, plain: Any) -> Any:
        """total + value ⊙ plain; total is None at first."""
        term = seal.Ciphertext(self._context)
        self._evaluator.multiply_plain(value, plain, term)
        return self._sum(total, term) if total else term

    def _noisy(self, total: Any, noise: I64) -> bytes:
        """Add noise to the slots of the rows; written out."""
        added = np.zeros(SLOTS)
        added[: len(noise)] = noise
        plain = self._encoded(added, VECTOR_SCALE * MATRIX_SCALE)
        if plain:
            self._evaluator.add_plain_inplace(total, plain)
        return padded(through_file(total.save))

    def _encoded(self, slots: F64, scale: float) -> Any:
        """None for zeros, which SEAL refuses to multiply with."""
        if not slots.any():
            return None
        plain = seal.Plaintext()
        seal.CKKSEncoder(self._context).encode(slots.tolist(), scale, plain)
        return plain


def _diagonal(rows: F64, padded: int, giant: int, step: int) -> F64:
    """D_(giant + step), turned back by `giant`: entry s is M[(s - giant) mod R, (s + step) mod S]."""
    slots = np.arange(SLOTS)
    row = (slots - giant) % padded
    held = row < len(rows)
    return np.where(held, rows[np.where(held, row, 0), (slots + step) % SLOTS], 0.0)


def _by_vector(body: Body, count: int) -> list[tuple[bytes, ...]]:
    assert isinstance(body, CkksVectors)
    blocks = len(body.blocks) // max(1, count)
    return [body.blocks[k * blocks : (k + 1) * blocks] for k in range(count)]
