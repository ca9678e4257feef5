"""The bank's half of engine `ckks`: encrypt a vector, open a sum and round it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from experiments.engines.ckks.scheme import INTEGER_VECTOR_SCALE, SLOTS, VECTOR_SCALE, context, read_ciphertext
from experiments.engines.octets import from_file, from_words, padded, through_file, unpadded
from protocol.he.base import KeyedVectors, KeyPair
from protocol.he.checks import require_sums, require_vectors
from protocol.messages import F64, I64, U64


@dataclass(frozen=True)
class CkksCipher:
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

    def sealed(self, vectors: I64, labels: Sequence[str], whole: bool) -> KeyedVectors:
        """Encrypted under the secret key; SEAL draws fresh randomness for each ciphertext."""
        require_vectors(vectors, labels, self.n)
        scale = INTEGER_VECTOR_SCALE if whole else VECTOR_SCALE
        encoder, encryptor = seal.CKKSEncoder(self._context), seal.Encryptor(self._context, self._secret)
        blocks = []
        for vector in vectors.astype(np.float64):
            for begin in range(0, self.n, SLOTS):
                plain = seal.Plaintext()
                encoder.encode(vector[begin : begin + SLOTS].tolist(), scale, plain)
                blocks.append(padded(through_file(encryptor.encrypt_symmetric(plain).save)))
        return KeyedVectors(parts=tuple(blocks))

    def opened(self, count: int, rows: int, answer: U64) -> I64:
        """Decrypted and rounded to integers."""
        parts, texts = -(-rows // SLOTS), from_words(answer)
        require_sums(len(texts) == count * parts, self.party)
        slots = [self._decrypted(text) for text in texts]
        out = np.array(slots).reshape(count, parts * SLOTS)[:, :rows]
        return np.rint(out).astype(np.int64)

    def _decrypted(self, text: bytes) -> F64:
        """The slots of one ciphertext, shape (S,)."""
        sum_, plain = read_ciphertext(self._context, text, self.party), seal.Plaintext()
        seal.Decryptor(self._context, self._secret).decrypt(sum_, plain)
        return np.array(seal.CKKSEncoder(self._context).decode_double(plain))
