"""The partner's half of engine `ckks`: diagonals of its matrix times rotations of the vector."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, sqrt
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from experiments.engines.ckks.scheme import (
    INTEGER_MATRIX_SCALE,
    MATRIX_SCALE,
    SLOTS,
    VECTOR_SCALE,
    context,
    read,
    read_ciphertext,
)
from experiments.engines.octets import padded, through_file, to_words
from protocol.he.base import Body, CheckedQuery, Integers, KeyedVectors, OneHot
from protocol.he.checks import body_of, require_length
from protocol.he.integers import IntegerBody
from protocol.he.streams import tag
from protocol.messages import F64, I64, U8, U64

Vectors = list[list[Any]]
"""SEAL's ciphertexts, by vector and block."""


@dataclass(frozen=True)
class _Rotating:
    """What is computed under the bank's public keys for rotations."""

    bank: str
    public: bytes = field(repr=False)

    @cached_property
    def context(self) -> Any:
        """SEAL's."""
        return context()

    @cached_property
    def rotations(self) -> Any:
        """The keys. Raises: IntegrityError: they are none."""
        keys = seal.GaloisKeys()
        read(self.bank, self.public, lambda path: keys.load(self.context, path))
        return keys

    def vectors(self, body: Body | IntegerBody, count: int, n: int) -> list[tuple[bytes, ...]]:
        """The ciphertexts as they were sent, by vector and block. Raises: IntegrityError."""
        sent, blocks = body_of(body, KeyedVectors, self.bank).parts, -(-n // SLOTS)
        require_length(len(sent) == count * blocks, self.bank)
        return [sent[k * blocks : (k + 1) * blocks] for k in range(count)]

    def checked(
        self,
        body: Body | IntegerBody,
        labels: Sequence[str],
        asked: Sequence[int],
        matrix: OneHot | Integers,
        key: bytes,
    ) -> CheckedQuery[Vectors]:  # fmt: skip
        """The query with SEAL's ciphertexts. Raises: IntegrityError."""
        sent = self.vectors(body, len(labels), matrix.n)
        names = tuple(tag(key, *blocks) for blocks in sent)
        return CheckedQuery(self.loaded(sent), tuple(labels), names, tuple(asked), matrix.digest, 0.0)

    def loaded(self, vectors: list[tuple[bytes, ...]]) -> list[list[Any]]:
        """The same as SEAL's ciphertexts. Raises: IntegrityError: they are none."""
        return [[read_ciphertext(self.context, block, self.bank) for block in blocks] for blocks in vectors]

    def products(self, vectors: list[list[Any]], dense: list[F64], scale: float) -> list[Any]:
        """Sums of every row in slot s = row modulo R, one ciphertext a vector. dense: rows by block, (K <= S, S)."""
        padded = 1 << (len(dense[0]) - 1).bit_length()
        baby = 1 << ceil(sqrt(padded)).bit_length() - 1
        turned = [[self._turned(block, baby) for block in blocks] for blocks in vectors]
        totals: list[Any] = [None] * len(vectors)
        for giant in reversed(range(padded // baby)):
            totals = [total and self._rotated(total, baby) for total in totals]
            for block, rows in enumerate(dense):
                for step in range(baby):
                    plain = self._encoded(_diagonal(rows, padded, giant * baby, step), scale)
                    if plain:
                        totals = [self._with(t, v[block][step], plain) for t, v in zip(totals, turned, strict=True)]
        step = padded
        while step < SLOTS:
            totals = [self._sum(total, self._rotated(total, step)) for total in totals]
            step *= 2
        return totals

    @cached_property
    def _evaluator(self) -> Any:
        return seal.Evaluator(self.context)

    def _turned(self, block: Any, count: int) -> list[Any]:
        """A ciphertext rotated by 0 .. count - 1."""
        out = [block]
        for _ in range(1, count):
            out.append(self._rotated(out[-1], 1))
        return out

    def _rotated(self, value: Any, step: int) -> Any:
        out = seal.Ciphertext(self.context)
        self._evaluator.rotate_vector(value, step, self.rotations, out)
        return out

    def _sum(self, left: Any, right: Any) -> Any:
        out = seal.Ciphertext(self.context)
        self._evaluator.add(left, right, out)
        return out

    def _with(self, total: Any, value: Any, plain: Any) -> Any:
        """total + value ⊙ plain; total is None at first."""
        term = seal.Ciphertext(self.context)
        self._evaluator.multiply_plain(value, plain, term)
        return self._sum(total, term) if total else term

    def noisy(self, total: Any, noise: I64) -> bytes:
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
        seal.CKKSEncoder(self.context).encode(slots.tolist(), scale, plain)
        return plain


@dataclass(frozen=True)
class CkksEvaluator:
    """The partner's half. public: the bank's keys for rotations."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    public: bytes = field(repr=False)

    @cached_property
    def _rotating(self) -> _Rotating:
        return _Rotating(self.bank, self.public)

    @property
    def modular(self) -> bool:
        """Sums are real numbers."""
        return False

    def hint(self, rows: range | None = None) -> U64:
        """None is needed; the bank's keys are read, so that bad ones are refused at once."""
        _ = self._rotating.rotations
        return np.zeros((self.matrix.rows if rows is None else len(rows), 0), dtype=np.uint64)

    def check(self, body: Body, labels: Sequence[str], columns: Sequence[int]) -> CheckedQuery[Vectors]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        self.matrix.require_columns(columns, self.bank)
        return self._rotating.checked(body, labels, columns, self.matrix, self.key)

    def answer(self, query: CheckedQuery[Vectors], noise: I64) -> U64:
        """Ciphertexts of M[rows of columns]·u + noise as words, a line for each vector and S of its rows."""
        rotating, vectors, columns = self._rotating, query.body, query.asked
        dense = [self._dense(columns, block) for block in range(-(-self.matrix.n // SLOTS))]
        parts = []
        for begin in range(0, noise.shape[1], SLOTS):
            rows = slice(begin, begin + SLOTS)
            sums = rotating.products(vectors, [block[rows] for block in dense], MATRIX_SCALE)
            parts.append([rotating.noisy(total, added[rows]) for total, added in zip(sums, noise, strict=True)])
        return to_words([parts[p][v] for v in range(len(vectors)) for p in range(len(parts))])

    def _dense(self, columns: Sequence[int], block: int) -> F64:
        """The rows of M that belong to the columns, over the positions of one block, shape (K, S)."""
        matrix, first = self.matrix, block * SLOTS
        begin, end = np.searchsorted(matrix.positions, (first, first + SLOTS))
        starts = matrix.starts_of(columns)
        out = np.zeros((int(starts[-1]), SLOTS))
        for start, j in zip(starts, columns, strict=False):
            out[start + matrix.bins[begin:end, j].astype(np.int64), matrix.positions[begin:end] - first] = 1.0
        return out


@dataclass(frozen=True)
class CkksIntegerEvaluator:
    """The partner's half for whole numbers. public: the bank's keys for rotations."""

    bank: str
    key: bytes = field(repr=False)
    matrix: Integers = field(repr=False)
    public: bytes = field(repr=False)

    @cached_property
    def _rotating(self) -> _Rotating:
        return _Rotating(self.bank, self.public)

    @property
    def modular(self) -> bool:
        """Sums are real numbers."""
        return False

    def hint(self) -> U8:
        """None is needed; the bank's keys are read, so that bad ones are refused at once."""
        _ = self._rotating.rotations
        return np.zeros((self.matrix.rows_count, 0, 10), dtype=np.uint8)

    def check(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> CheckedQuery[Vectors]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        self.matrix.require_rows(rows, self.bank)
        return self._rotating.checked(body, labels, rows.tolist(), self.matrix, self.key)

    def answer(self, query: CheckedQuery[Vectors], added: I64) -> U8:
        """Ciphertexts of M[rows]·u as octets, a line for each vector; S rows at most, which 63 columns do not reach."""
        rotating, vectors, rows = self._rotating, query.body, np.array(query.asked, dtype=np.int64)
        dense = [self._dense(rows, block) for block in range(-(-self.matrix.n // SLOTS))]
        sums = rotating.products(vectors, dense, INTEGER_MATRIX_SCALE)
        octets: U8 = to_words([rotating.noisy(total, exact) for total, exact in zip(sums, added, strict=True)]).view(
            np.uint8
        )
        return octets

    def _dense(self, rows: I64, block: int) -> F64:
        """The rows of M over the positions of one block, shape (K, S)."""
        matrix, first = self.matrix, block * SLOTS
        begin, end = (int(at) for at in np.searchsorted(matrix.positions, (first, first + SLOTS)))
        out = np.zeros((len(rows), SLOTS))
        out[:, matrix.positions[begin:end] - first] = matrix.written(rows, begin, end)
        return out


def _diagonal(rows: F64, padded: int, giant: int, step: int) -> F64:
    """D_(giant + step), turned back by `giant`: entry s is M[(s - giant) mod R, (s + step) mod S]."""
    slots = np.arange(SLOTS)
    row = (slots - giant) % padded
    held = row < len(rows)
    return np.where(held, rows[np.where(held, row, 0), (slots + step) % SLOTS], 0.0)
