"""The partner's half of engine `paillier`: products of ciphertexts, packed, and made fresh by the noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import heu.numpy as hnp
import numpy as np
from heu import phe

from protocol.errors import IntegrityError, RefusedError
from protocol.he.base import Body, Guard, OneHot, PaillierNumbers, request_digest
from protocol.he.octets import to_words, unpadded
from protocol.he.paillier.packing import FIELD, batches, groups_of, joined
from protocol.he.paillier.scheme import ENCODER, FAULTS, SCHEME, quiet, read, require_strong, unreadable, write
from protocol.he.streams import tag
from protocol.messages import I64, U64


@dataclass(frozen=True)
class PaillierEvaluator:
    """The partner's half. public: the bank's public key."""

    bank: str
    key: bytes = field(repr=False)
    matrix: OneHot = field(repr=False)
    public: bytes = field(repr=False)
    guard: Guard = field(repr=False)

    @property
    def _kit(self) -> Any:
        return _public_kit(self.public, self.bank)

    def hint(self) -> U64:
        """None is needed; the bank's key is read, so that a weak one is refused at once."""
        _ = self._kit
        return np.zeros((self.matrix.rows, 0), dtype=np.uint64)

    def answer(self, body: Body, labels: Sequence[str], columns: Sequence[int], noise: I64) -> U64:
        """Ciphertexts of M[rows of columns]·u + noise as words, a line for each 47 vectors."""
        parts = self._checked(body, noise, columns)
        assert isinstance(body, PaillierNumbers)
        query = tag(self.key, *body.parts)  # of all vectors: they share their numbers
        for label, added in zip(labels, noise, strict=True):
            self.guard.admit_answer(self.matrix.digest, label, request_digest(query, columns, added), 0.0)
        held = self._rows(columns)
        with quiet():
            sums = [self._sums(part, held, added) for part, added in zip(parts, batches(noise), strict=True)]
        return to_words([write(total) for total in sums])

    def _checked(self, body: Body, noise: I64, columns: Sequence[int]) -> list[Any]:
        if not isinstance(body, PaillierNumbers):
            raise IntegrityError(self.bank, "sent a query of another engine", "set the same engine at both nodes")
        parts = [read(part, self.bank) for part in body.parts]
        if len(parts) != len(list(batches(noise))) or any(part.size != self.matrix.n for part in parts):
            raise IntegrityError(
                self.bank, "sent a query of another length than the hint", "run `bank-node align` again"
            )
        self.matrix.require_columns(columns, self.bank)
        return parts

    def _rows(self, columns: Sequence[int]) -> list[list[int]]:
        """The positions of each row of M that belongs to the columns, in order."""
        matrix = self.matrix
        return [matrix.positions[matrix.bins[:, j] == b].tolist() for j in columns for b in range(int(matrix.sizes[j]))]

    def _sums(self, numbers: Any, held: list[list[int]], noise: I64) -> Any:
        """The rows' sums of one part, packed into groups, with noise. noise: shape (B, K)."""
        evaluator, (groups, size) = self._kit.evaluator(), groups_of(noise.shape)
        held = held + [[]] * (groups * size - len(held))
        shift = hnp.array([1 << (FIELD * len(noise))] * groups, ENCODER)
        total = evaluator.batch_select_sum(numbers, held[size - 1 :: size])
        for place in reversed(range(size - 1)):
            shifted = evaluator.mul(total, shift)
            total = evaluator.add(shifted, evaluator.batch_select_sum(numbers, held[place::size]))
        padded = np.zeros((groups * size, len(noise)), dtype=np.int64)
        padded[: noise.shape[1]] = noise.T
        fresh = self._kit.encryptor().encrypt(hnp.array(joined(padded.reshape(groups, -1).T), ENCODER))
        return evaluator.add(total, fresh)


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
