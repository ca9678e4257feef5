"""The bank's half of engine `ckks`: encrypt a vector, open a sum and round it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from protocol.errors import IntegrityError
from protocol.he.base import MAX_PRODUCT, CkksVectors, KeyPair, Sealed
from protocol.he.ckks.scheme import INTEGER_VECTOR_SCALE, SLOTS, VECTOR_SCALE, context, read_ciphertext
from protocol.he.integers import SealedIntegers, require_room
from protocol.he.octets import from_file, from_words, padded, through_file, unpadded, words_of
from protocol.messages import F64, I64, U8, U64


@dataclass(frozen=True)
class CkksKit:
    """The bank's half. n: length of the row space. keys: made by `new_keys`, of which this needs the secret."""

    party: str
    n: int
    keys: KeyPair = field(repr=False)

    @cached_property
    def _context(self) -> Any:
        return context()

    @cached_property
    def _secret(self) -> Any:
        key = seal.SecretKey()
        from_file(unpadded(self.keys.secret), lambda path: key.load(self._context, path))
        return key

    def seal(self, vectors: I64, labels: Sequence[str]) -> Sealed:
        """Encrypt B vectors, shape (B, n), under the secret key; SEAL draws fresh randomness for each ciphertext."""
        return Sealed(self._sealed(vectors, labels, VECTOR_SCALE), np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: Sealed, rows: I64, answer: U64) -> I64:
        """M[rows]·u + noise, rounded to integers, shape (B, len(rows))."""
        return self._opened(len(sealed.secrets), len(rows), answer)

    def _sealed(self, vectors: I64, labels: Sequence[str], scale: float) -> CkksVectors:
        if vectors.shape != (len(labels), self.n):
            raise ValueError("one vector of the row space's length a label")
        encoder, encryptor = seal.CKKSEncoder(self._context), seal.Encryptor(self._context, self._secret)
        blocks = []
        for vector in vectors.astype(np.float64):
            for begin in range(0, self.n, SLOTS):
                plain = seal.Plaintext()
                encoder.encode(vector[begin : begin + SLOTS].tolist(), scale, plain)
                blocks.append(padded(through_file(encryptor.encrypt_symmetric(plain).save)))
        return CkksVectors(blocks=tuple(blocks))

    def _opened(self, count: int, rows: int, answer: U64) -> I64:
        parts, texts = -(-rows // SLOTS), from_words(answer)
        if len(texts) != count * parts:
            raise IntegrityError(
                self.party, "answered with another number of sums than asked", "run the same version on both sides"
            )
        slots = [self._decrypted(text) for text in texts]
        out = np.array(slots).reshape(count, parts * SLOTS)[:, :rows]
        return np.rint(out).astype(np.int64)

    def _decrypted(self, text: bytes) -> F64:
        """The slots of one ciphertext, shape (S,)."""
        sum_, plain = read_ciphertext(self._context, text, self.party), seal.Plaintext()
        seal.Decryptor(self._context, self._secret).decrypt(sum_, plain)
        return np.array(seal.CKKSEncoder(self._context).decode_double(plain))


@dataclass(frozen=True)
class CkksIntegerKit:
    """The bank's half for whole numbers, whose sums are right to some 40 bits. As `CkksKit`."""

    party: str
    n: int
    keys: KeyPair = field(repr=False)

    @cached_property
    def _kit(self) -> CkksKit:
        return CkksKit(self.party, self.n, self.keys)

    def seal(self, vectors: I64, labels: Sequence[str], largest: int = MAX_PRODUCT) -> SealedIntegers:
        """Encrypt B vectors, shape (B, n). Raises: RefusedError: a sum could overflow."""
        require_room(self.party, vectors, largest)
        body = self._kit._sealed(vectors, labels, INTEGER_VECTOR_SCALE)
        return SealedIntegers(body, np.zeros((len(labels), 0), dtype=np.int8))

    def open(self, sealed: SealedIntegers, rows: I64, answer: U8) -> I64:
        """M[rows]·u to some 40 bits, rounded to integers, shape (B, len(rows))."""
        return self._kit._opened(len(sealed.secrets), len(rows), words_of(answer, self.party))
