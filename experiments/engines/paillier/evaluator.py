"""The partner's half of engine `paillier`: products of ciphertexts, packed, and made fresh by the noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import heu.numpy as hnp
import numpy as np
from heu import phe

from experiments.engines.octets import to_words, unpadded
from experiments.engines.paillier.packing import FIELD, batches, groups_of, joined
from experiments.engines.paillier.scheme import ENCODER, FAULTS, SCHEME, quiet, read, require_strong, unreadable, write
from protocol.errors import RefusedError
from protocol.he.base import Body, CheckedQuery, Integers, KeyedVectors, OneHot
from protocol.he.checks import body_of, require_length
from protocol.he.integers import IntegerBody
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

    def checked(
        self,
        body: Body | IntegerBody,
        labels: Sequence[str],
        asked: Sequence[int],
        matrix: OneHot | Integers,
        key: bytes,
    ) -> CheckedQuery[list[Any]]:  # fmt: skip
        """The query with HEU's numbers. Its vectors share their numbers, and so a name. Raises: IntegrityError."""
        sent = body_of(body, KeyedVectors, self.bank).parts
        parts = [read(part, self.bank) for part in sent]
        count = len(list(batches(np.zeros((len(labels), 0), dtype=np.int64))))
        require_length(len(parts) == count and all(part.size == matrix.n for part in parts), self.bank)
        names = (tag(key, *sent),) * len(labels)
        return CheckedQuery(parts, tuple(labels), names, tuple(asked), matrix.digest, 0.0)

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

    @property
    def modular(self) -> bool:
        """A number holds several sums, side by side."""
        return False

    def hint(self, rows: range | None = None) -> U64:
        """None is needed; the bank's key is read, so that a weak one is refused at once."""
        _ = _Adding(self.bank, self.public).kit
        return np.zeros((self.matrix.rows if rows is None else len(rows), 0), dtype=np.uint64)

    def check(self, body: Body, labels: Sequence[str], columns: Sequence[int]) -> CheckedQuery[list[Any]]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        self.matrix.require_columns(columns, self.bank)
        return _Adding(self.bank, self.public).checked(body, labels, columns, self.matrix, self.key)

    def answer(self, query: CheckedQuery[list[Any]], noise: I64) -> U64:
        """Ciphertexts of M[rows of columns]·u + noise as words, a line for each 47 vectors."""
        adding, held = _Adding(self.bank, self.public), self._held(query.asked)
        with quiet():
            sums = [adding.sums(part, held, added) for part, added in zip(query.body, batches(noise), strict=True)]
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

    @property
    def modular(self) -> bool:
        """A number holds several sums, side by side."""
        return False

    def hint(self) -> U8:
        """None is needed; the bank's key is read, so that a weak one is refused at once."""
        _ = _Adding(self.bank, self.public).kit
        return np.zeros((self.matrix.rows_count, 0, 10), dtype=np.uint8)

    def check(self, body: IntegerBody, labels: Sequence[str], rows: I64) -> CheckedQuery[list[Any]]:
        """The query, once it is known to be well-formed. Raises: IntegrityError."""
        self.matrix.require_rows(rows, self.bank)
        return _Adding(self.bank, self.public).checked(body, labels, rows.tolist(), self.matrix, self.key)

    def answer(self, query: CheckedQuery[list[Any]], added: I64) -> U8:
        """Ciphertexts of M[rows]·u as octets, a line for each 47 vectors."""
        adding, rows = _Adding(self.bank, self.public), np.array(query.asked, dtype=np.int64)
        exact = batches(added)
        with quiet():
            sums = [self._sums(adding, part, rows, some) for part, some in zip(query.body, exact, strict=True)]
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
