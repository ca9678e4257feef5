"""The partner's half of engine `paillier`: products of ciphertexts, packed, and made fresh by the noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import heu.numpy as hnp
import numpy as np
from heu import phe

from protocol.errors import RefusedError
from protocol.he.base import Body, Guard, Integers, OneHot, PaillierNumbers, request_digest
from protocol.he.checks import body_of, require_length
from protocol.he.integers import IntegerBody
from protocol.he.octets import to_words, unpadded
from protocol.he.paillier.packing import FIELD, batches, groups_of, joined
from protocol.he.paillier.scheme import ENCODER, FAULTS, SCHEME, quiet, read, require_strong, unreadable, write
from protocol.he.streams import tag
from protocol.messages import I64, U8, U64


@dataclass(frozen=True)
class _Adding:
    """What is computed under the bank's public key."""

    bank: str
    public: bytes = field(repr=False)

    @property
    def kit(self) -> Any:
        """HEU's. Raises: RefusedError, IntegrityError: the key is weak, or none."""
        return _public_kit(self.public, self.bank)

    def numbers(self, body: Body | IntegerBody, vectors: I64, n: int) -> tuple[tuple[bytes, ...], list[Any]]:
        """The parts of a query for sums of shape (B, K), as they were sent and as HEU's. Raises: IntegrityError."""
        sent = body_of(body, PaillierNumbers, self.bank).parts
        parts = [read(part, self.bank) for part in sent]
        fits = len(parts) == len(list(batches(vectors))) and all(part.size == n for part in parts)
        require_length(fits, self.bank)
        return sent, parts

    def sums(self, numbers: Any, held: list[list[int]], noise: I64) -> bytes:
        """Sums of the numbers held, a row each, packed into groups, with noise. noise: shape (B, K)."""
        evaluator, (groups, size) = self.kit.evaluator(), groups_of(noise.shape)
        held = held + [[]] * (groups * size - len(held))
        shift = hnp.array([1 << (FIELD * len(noise))] * groups, ENCODER)
        total = evaluator.batch_select_sum(numbers, held[size - 1 :: size])
        for place in reversed(range(size - 1)):
            shifted = evaluator.mul(total, shift)
            total = evaluator.add(shifted, evaluator.batch_select_sum(numbers, held[place::size]))
        padded = np.zeros((groups * size, len(noise)), dtype=np.int64)
        padded[: noise.shape[1]] = noise.T
        fresh = self.kit.encryptor().encrypt(hnp.array(joined(padded.reshape(groups, -1).T), ENCODER))
        return write(evaluator.add(total, fresh))


@dataclass(frozen=True)
class PaillierEvaluator:
    """The partner's half. public: the bank's public key."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    public: bytes = field(repr=False)
    guard: Guard = field(repr=False)

    def hint(self) -> U64:
        """None is needed; the bank's key is read, so that a weak one is refused at once."""
        _ = _Adding(self.bank, self.public).kit
        return np.zeros((self.matrix.rows, 0), dtype=np.uint64)

    def answer(self, body: Body, labels: Sequence[str], columns: Sequence[int], noise: I64) -> U64:
        """Ciphertexts of M[rows of columns]·u + noise as words, a line for each 47 vectors."""
        adding = _Adding(self.bank, self.public)
        sent, parts = adding.numbers(body, noise, self.matrix.n)
        self.matrix.require_columns(columns, self.bank)
        query = tag(self.key, *sent)  # of all vectors: they share their numbers
        for label, added in zip(labels, noise, strict=True):
            self.guard.admit_answer(self.matrix.digest, label, request_digest(query, columns, added), 0.0)
        held = self._held(columns)
        with quiet():
            sums = [adding.sums(part, held, added) for part, added in zip(parts, batches(noise), strict=True)]
        return to_words(sums)

    def _held(self, columns: Sequence[int]) -> list[list[int]]:
        """The positions of each row of M that belongs to the columns, in order."""
        matrix = self.matrix
        return [matrix.positions[matrix.bins[:, j] == b].tolist() for j in columns for b in range(int(matrix.sizes[j]))]


@dataclass(frozen=True)
class PaillierIntegerEvaluator:
    """The partner's half for whole numbers. public: the bank's public key."""

    bank: str
    key: bytes = field(repr=False)
    matrix: Integers = field(repr=False)
    public: bytes = field(repr=False)
    guard: Guard = field(repr=False)

    def hint(self) -> U8:
        """None is needed; the bank's key is read, so that a weak one is refused at once."""
        _ = _Adding(self.bank, self.public).kit
        return np.zeros((self.matrix.rows_count, 0, 10), dtype=np.uint8)

    def answer(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> U8:
        """Ciphertexts of M[rows]·u as octets, a line for each 47 vectors."""
        adding, exact = _Adding(self.bank, self.public), np.zeros((len(labels), len(rows)), dtype=np.int64)
        sent, parts = adding.numbers(body, exact, self.matrix.n)
        self.matrix.require_rows(rows, self.bank)
        query = tag(self.key, *sent)
        for label in labels:
            self.guard.admit_answer(self.matrix.digest, label, request_digest(query, rows.tolist(), exact[0]), 0.0)
        with quiet():
            sums = [self._sums(adding, part, rows, some) for part, some in zip(parts, batches(exact), strict=True)]
        octets: U8 = to_words(sums).view(np.uint8)
        return octets

    def _sums(self, adding: _Adding, numbers: Any, rows: I64, exact: I64) -> bytes:
        """Numbers that an entry of M multiplies alike are added up first: a product for each value in a row."""
        evaluator, matrix = adding.kit.evaluator(), self.matrix
        alike: list[list[int]] = []
        values: list[int] = []
        held: list[list[int]] = []
        for row in matrix.written(rows, 0, len(matrix.positions)).astype(np.int64):
            found = [int(value) for value in np.unique(row) if value]
            held.append(list(range(len(values), len(values) + len(found))))
            values += found
            alike += [matrix.positions[row == value].tolist() for value in found]
        products = evaluator.mul(evaluator.batch_select_sum(numbers, alike), hnp.array(values, ENCODER))
        return adding.sums(products, held, exact)


@lru_cache(maxsize=2)
def _public_kit(public: bytes, bank: str) -> Any:
    """HEU's kit under the bank's public key; it takes seconds to lay out its tables of powers.

    Raises: RefusedError: a key of another scheme, or of less than 128-bit security. IntegrityError: it is no key.
    """
    try:
        kit = hnp.setup(phe.PublicKey.load_from(unpadded(public)))
    except FAULTS as error:
        raise unreadable(bank) from error
    if kit.get_schema() != SCHEME:
        raise RefusedError(bank, "offers a key of another scheme than Paillier's", "use engine paillier")
    require_strong(bank, int(str(kit.public_key().plaintext_bound())).bit_length() + 1)
    return kit
