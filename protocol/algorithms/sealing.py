"""Sealing: what a partner tells of every row can be read only for rows whose ids the bank has evaluated.

With one-sided alignment a partner does not know which of its rows matched, so it answers for all of them. Each row has
a key (group.row_secrets), which both nodes compute from the row's twice-blinded point: the partner for every row, the
bank for the ids that it had blinded. Whatever the partner tells of a row is combined with a pad of that row's key. The
bank opens the rows that it matched; of all others it holds uniform bits. The partner learns nothing of which rows the
bank opens. With shared alignment the row space is the matched rows, and nothing is sealed.

    pad of a row = BLAKE2b(key = row key, person "fedwarn.v1 pad", message = digest(purpose, subject, nonce))

purpose is the kind of message, subject the layout, model or design that is spoken of. One keyed hash a row gives 512
bits, the pads of 256 splits of two bits (left, missing). No pad may ever cover two plaintexts, since their difference
would be seen, and a table may change, a state folder may be restored from a copy, an account may be renamed. So
no counter is trusted:

- Split bits of a training arrive one by one and share a block of pads. A block is named by a random nonce, which each
  process draws anew and no other process continues; a split keeps its pad for life (`Budgets.pad_of`), so that a
  repeat is the same bytes. A split that a budget refuses takes no pad.
- Answers that leave whole (bits of a model's splits, partial scores) have a synthetic nonce: a digest of the plaintext
  under the row keys. Equal answers are equal bytes, and other answers have other pads.

BLAKE2b takes about 0.6 microseconds a row here; HKDF-SHA256 would take more than twenty times as long.
Sources: RFC 7693 (BLAKE2, keyed mode and personalisation); Rogaway and Shrimpton, EUROCRYPT 2006 (synthetic nonces).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from protocol.algorithms.boosting import SplitBits
from protocol.algorithms.group import ROW_KEY_BYTES
from protocol.errors import ALIGN_ANEW, IntegrityError
from protocol.he.streams import digest
from protocol.messages import I64, U8

NONCE_BYTES: Final = 16
SPLITS_A_BLOCK: Final = 256
"""Two bits of each in the 512 bits of one hash."""
_BLOCK_BYTES: Final = 64
_WORD_BYTES: Final = 8
_PERSON: Final = b"fedwarn.v1 pad"
_PIECE: Final = 8192
"""Rows whose hashes are Python objects at one time."""
_BLOCKS_KEPT: Final = 2
"""Blocks in memory, of 64 bytes a row: the one being filled, and one that is asked for again."""


@dataclass(frozen=True)
class RowKeys:
    """The row keys that a node has of an alignment.

    rows: length of the row space. places: where the rows stand in it, shape (m,). keys: of each, shape (m, 32).
    """

    rows: int
    places: I64 = field(repr=False)
    keys: U8 = field(repr=False)

    def stream(self, purpose: str, subject: str, nonce: bytes, size: int) -> U8:
        """`size` pad bytes of every row, shape (m, size), size at most 64."""
        message, out = digest(purpose.encode(), subject.encode(), nonce), np.empty((len(self.keys), size), np.uint8)
        for first in range(0, len(self.keys), _PIECE):
            raw = self.keys[first : first + _PIECE].tobytes()
            drawn = [
                blake2b(message, digest_size=size, key=raw[at : at + ROW_KEY_BYTES], person=_PERSON).digest()
                for at in range(0, len(raw), ROW_KEY_BYTES)
            ]
            out[first : first + _PIECE] = np.frombuffer(b"".join(drawn), np.uint8).reshape(-1, size)
        return out

    def synthetic_nonce(self, purpose: str, subject: str, *plaintext: memoryview) -> bytes:
        """A nonce that only an equal plaintext shares; the keys keep it from confirming a guess of the plaintext."""
        keys = np.ascontiguousarray(self.keys).data
        return digest(b"fedwarn.v1 nonce", purpose.encode(), subject.encode(), keys, *plaintext)[:NONCE_BYTES]


@dataclass
class SplitPads:
    """Pads of split bits. A pad is named by 17 bytes: the nonce of its block, and its place in the block."""

    keys: RowKeys
    purpose: str
    subject: str
    _blocks: dict[bytes, U8] = field(default_factory=dict, init=False, repr=False)

    def seal(self, bits: SplitBits, pad: bytes) -> SplitBits:
        """The bits of every row of the row space, each combined with its row's pad; all keys are needed."""
        pads = self._of_rows(pad)
        return SplitBits(bits.left ^ np.packbits(pads & 1), bits.missing ^ np.packbits(pads >> 1), pad)

    def open(self, bits: SplitBits) -> SplitBits:
        """The bits of the rows whose keys are there; every other row is missing, and takes the default direction."""
        pads, rows, places = self._of_rows(bits.pad), self.keys.rows, self.keys.places
        left, missing = np.zeros(rows, dtype=np.uint8), np.ones(rows, dtype=np.uint8)
        left[places] = np.unpackbits(bits.left, count=rows)[places] ^ (pads & 1)
        missing[places] = np.unpackbits(bits.missing, count=rows)[places] ^ (pads >> 1)
        return SplitBits(np.packbits(left), np.packbits(missing))

    def _of_rows(self, pad: bytes) -> U8:
        """Two bits a row, shape (m,)."""
        place = pad[NONCE_BYTES]
        pads: U8 = (self._block(pad[:NONCE_BYTES])[place // 4] >> (2 * (place % 4))) & 3
        return pads

    def _block(self, nonce: bytes) -> U8:
        """The pads of 256 splits, shape (64, m): a split reads one line of it, and not a byte of every row's."""
        if nonce not in self._blocks:
            while len(self._blocks) >= _BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
            drawn = self.keys.stream(self.purpose, self.subject, nonce, _BLOCK_BYTES)
            self._blocks[nonce] = np.ascontiguousarray(drawn.T)
        return self._blocks[nonce]


def open_bits(party: str, pads: SplitPads | None, rows: int, bits: SplitBits) -> SplitBits:
    """A partner's split bits in clear, of a row space of `rows`; pads: None where the alignment seals nothing.

    Raises: IntegrityError: bits of another number of rows, or sealed otherwise than the alignment says.
    """
    shape, pad_bytes = ((rows + 7) // 8,), NONCE_BYTES + 1 if pads else 0
    if bits.left.shape != shape or bits.missing.shape != shape or len(bits.pad) != pad_bytes:
        thing = f"answered with split bits of another form than the alignment of {rows} rows prescribes"
        raise IntegrityError(party, thing, ALIGN_ANEW)
    return pads.open(bits) if pads else bits


def seal_answer(keys: RowKeys, purpose: str, subject: str, bits: Sequence[SplitBits]) -> tuple[SplitBits, ...]:
    """Seal the bits of several splits that leave in one answer."""
    sealed: list[SplitBits] = []
    for first in range(0, len(bits), SPLITS_A_BLOCK):
        block, pads = bits[first : first + SPLITS_A_BLOCK], SplitPads(keys, purpose, subject)
        plaintext = [vector.data for one in block for vector in (one.left, one.missing)]
        nonce = keys.synthetic_nonce(purpose, f"{subject} {first}", *plaintext)
        sealed += [pads.seal(one, nonce + bytes([place])) for place, one in enumerate(block)]
    return tuple(sealed)


def seal_scores(keys: RowKeys, purpose: str, subject: str, scores: I64) -> tuple[I64, bytes]:
    """A whole number of every row plus its pad modulo 2^64, and the nonce of the pads; all keys are needed."""
    nonce = keys.synthetic_nonce(purpose, subject, np.ascontiguousarray(scores).data)
    pads = keys.stream(purpose, subject, nonce, _WORD_BYTES).view("<u8")[:, 0]
    return (scores.view(np.uint64) + pads).view(np.int64), nonce


def open_scores(
    party: str, keys: RowKeys | None, purpose: str, subject: str, rows: int, scores: I64, nonce: bytes
) -> I64:
    """A partner's scores in clear, shape (rows,), 0 for rows without a key; keys: None where nothing is sealed.

    Raises: IntegrityError: scores of another number of rows, or sealed otherwise than the alignment says.
    """
    if scores.shape != (rows,) or len(nonce) != (NONCE_BYTES if keys else 0):
        thing = f"answered with scores of another form than the alignment of {rows} rows prescribes"
        raise IntegrityError(party, thing, ALIGN_ANEW)
    if keys is None:
        return scores
    pads, out = keys.stream(purpose, subject, nonce, _WORD_BYTES).view("<u8")[:, 0], np.zeros(rows, dtype=np.int64)
    out[keys.places] = (scores[keys.places].view(np.uint64) - pads).view(np.int64)
    return out
