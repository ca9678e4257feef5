"""The bank's half of engine `paillier`: encrypt vectors side by side, open packed sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import heu.numpy as hnp
import numpy as np
from heu import phe

from experiments.engines.octets import from_words, unpadded
from experiments.engines.paillier.packing import batches, groups_of, joined, parted
from experiments.engines.paillier.scheme import ENCODER, quiet, read, write
from protocol.he.base import KeyedVectors, KeyPair
from protocol.he.checks import require_sums, require_vectors
from protocol.messages import I64, U64


@dataclass(frozen=True)
class PaillierCipher:
    """The bank's half. n: length of the row space. keys: made by `new_keys`."""

    party: str
    n: int
    keys: KeyPair = field(repr=False)

    @property
    def _kit(self) -> Any:
        return _secret_kit(self.keys.public, self.keys.secret)

    def sealed(self, vectors: I64, labels: Sequence[str], whole: bool) -> KeyedVectors:
        """The numbers of many vectors side by side; HEU draws fresh randomness for each. whole: makes no difference."""
        require_vectors(vectors, labels, self.n)
        with quiet():
            parts = [self._kit.encryptor().encrypt(hnp.array(joined(batch), ENCODER)) for batch in batches(vectors)]
        return KeyedVectors(parts=tuple(write(part) for part in parts))

    def opened(self, count: int, rows: int, answer: U64) -> I64:
        """Decrypted and parted, exact."""
        out = np.zeros((count, rows), dtype=np.int64)
        texts, parts = from_words(answer), list(batches(out))
        require_sums(len(texts) == len(parts), self.party)
        for text, sums in zip(texts, parts, strict=True):
            numbers = read(text, self.party)
            groups = groups_of(sums.shape)
            require_sums(numbers.size == groups[0], self.party)
            with quiet():
                opened = self._kit.decryptor().decrypt(numbers).to_numpy(ENCODER)
            fields = parted(list(np.atleast_1d(opened)), groups[1] * len(sums))
            sums[:] = fields.reshape(-1, len(sums))[:rows].T
        return out


@lru_cache(maxsize=2)
def _secret_kit(public: bytes, secret: bytes) -> Any:
    """HEU's kit under a key pair; it takes seconds to lay out its tables of powers."""
    return hnp.HeKit(phe.setup(phe.PublicKey.load_from(unpadded(public)), phe.SecretKey.load_from(unpadded(secret))))
