"""The bank's half of engine `paillier`: encrypt vectors side by side, open packed sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import heu.numpy as hnp
import numpy as np
from heu import phe

from protocol.errors import IntegrityError
from protocol.he.base import MAX_PRODUCT, KeyPair, PaillierNumbers, Sealed
from protocol.he.integers import SealedIntegers, require_room
from protocol.he.octets import from_words, unpadded, words_of
from protocol.he.paillier.packing import batches, groups_of, joined, parted
from protocol.he.paillier.scheme import ENCODER, quiet, read, write
from protocol.messages import I64, U8, U64


@dataclass(frozen=True)
class PaillierKit:
    """The bank's half. n: length of the row space. keys: made by `new_keys`."""

    party: str
    n: int
    keys: KeyPair = field(repr=False)

    @property
    def _kit(self) -> Any:
        return _secret_kit(self.keys.public, self.keys.secret)

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Encrypt B vectors, shape (B, n); HEU draws fresh randomness for each number."""
        return Sealed(self._sealed(vectors, labels), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise, exact, shape (B, len(rows))."""
        return self._opened(len(sealed.secrets), len(rows), answer)

    def _sealed(self, vectors: I64, labels: Sequence[str]) -> PaillierNumbers:
        if vectors.shape != (len(labels), self.n):
            raise ValueError("one vector of the row space's length a label")
        with quiet():
            parts = [self._kit.encryptor().encrypt(hnp.array(joined(batch), ENCODER)) for batch in batches(vectors)]
        return PaillierNumbers(parts=tuple(write(part) for part in parts))

    def _opened(self, count: int, rows: int, answer: U64) -> I64:
        out = np.zeros((count, rows), dtype=np.int64)
        texts, parts = from_words(answer), list(batches(out))
        if len(texts) != len(parts):
            raise self._another_number()
        for text, sums in zip(texts, parts, strict=True):
            numbers = read(text, self.party)
            groups = groups_of(sums.shape)
            if numbers.size != groups[0]:
                raise self._another_number()
            with quiet():
                opened = self._kit.decryptor().decrypt(numbers).to_numpy(ENCODER)
            fields = parted(list(np.atleast_1d(opened)), groups[1] * len(sums))
            sums[:] = fields.reshape(-1, len(sums))[:rows].T
        return out

    def _another_number(self) -> IntegrityError:
        return IntegrityError(
            self.party, "answered with another number of sums than asked", "run the same version on both sides"
        )


@dataclass(frozen=True)
class PaillierIntegerKit:
    """The bank's half for whole numbers. As `PaillierKit`."""

    party: str
    n: int
    keys: KeyPair = field(repr=False)

    @cached_property
    def _kit(self) -> PaillierKit:
        return PaillierKit(self.party, self.n, self.keys)

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Encrypt B vectors, shape (B, n). Raises: RefusedError: a sum could overflow."""
        require_room(self.party, vectors, largest)
        return SealedIntegers(self._kit._sealed(vectors, labels), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """M[rows]·u, exact, shape (B, len(rows))."""
        return self._kit._opened(len(sealed.secrets), len(rows), words_of(answer, self.party))


@lru_cache(maxsize=2)
def _secret_kit(public: bytes, secret: bytes) -> Any:
    """HEU's kit under a key pair; it takes seconds to lay out its tables of powers."""
    return hnp.HeKit(phe.setup(phe.PublicKey.load_from(unpadded(public)), phe.SecretKey.load_from(unpadded(secret))))
