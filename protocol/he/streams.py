"""Randomness that hides something: keys by HKDF-SHA256, expanded by AES-256-CTR.

Every stream has a key of its own, derived from a master key and a context, so that a repeat of the same request
gives the same bytes and any other request gives unrelated ones. Nothing here ever comes from numpy's generator.
"""

import hashlib
import secrets
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.he.parameters import ETA
from protocol.messages import I64, U8, U64

KEY_BYTES: Final = 32
_TRITS: Final = np.array([[(v // 3**k) % 3 - 1 for k in range(5)] for v in range(243)], dtype=np.int8)

ERROR_BITS: Final = np.uint64((1 << 2 * ETA) - 1)
"""The bits of a word of which an error is made."""
FLIPPED: Final = np.uint64(((1 << ETA) - 1) << ETA)
"""Those that count as less."""

I8 = np.ndarray[tuple[int, ...], np.dtype[np.int8]]


def fresh_key() -> bytes:
    """A new secret of 32 bytes from the operating system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def digest(*parts: bytes | memoryview) -> bytes:
    """SHA-256 over the parts, each preceded by its length (8 bytes, little-endian): no two lists collide."""
    state = hashlib.sha256()
    for part in parts:
        state.update(memoryview(part).nbytes.to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def tag(key: bytes, *parts: bytes | memoryview) -> bytes:
    """16 bytes that name the parts, each preceded by its length, to the holder of the key: AES-256-GMAC, nonce zero.

    Ten times as fast as SHA-256, and good for one use: to be the context of `derive`, or compared, by the holder of
    the key. To everyone else two lists of at most L blocks of 16 bytes share a tag with probability (L + 1) / 2^128
    (a universal hash: Carter and Wegman 1981; Shoup, CRYPTO 1996). Never show a tag: they stand under one nonce.
    Source: NIST SP 800-38D.
    """
    state = Cipher(algorithms.AES(key), modes.GCM(bytes(12))).encryptor()
    for part in parts:
        octets = memoryview(part)
        state.authenticate_additional_data(octets.nbytes.to_bytes(8, "little"))
        if octets.nbytes:
            state.authenticate_additional_data(octets.cast("B"))
    state.finalize()
    return state.tag


def derive(key: bytes, purpose: str, *context: bytes) -> bytes:
    """A key for one purpose and context: HKDF-SHA256, info = "fedwarn.v1 " + purpose, salt = digest(context)."""
    info = b"fedwarn.v1 " + purpose.encode()
    return HKDF(SHA256(), KEY_BYTES, salt=digest(*context), info=info).derive(key)


def expand(key: bytes, count: int, start: int = 0) -> U8:
    """`count` bytes of AES-256-CTR under the key, from block `start` on (counter big-endian, from 0)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
    return np.frombuffer(encryptor.update(bytes(count)), dtype=np.uint8)


def words(key: bytes, count: int) -> U64:
    """`count` uniform 64-bit words, little-endian."""
    return expand(key, 8 * count).view("<u8")


def ternary(key: bytes, count: int) -> I8:
    """Uniform values of {-1, 0, 1}: five a byte below 243 (base 3, least first), larger bytes are skipped."""
    out = np.empty(0, dtype=np.int8)
    block = 0
    while out.size < count:
        # 13 of 256 bytes are skipped: a tenth more, and a margin, is nearly always enough.
        size = -(-((count - out.size) // 5 + 1) * 11 // 10 // 16) * 16 + 256
        drawn = expand(key, size, block)
        block += size // 16
        out = np.concatenate((out, _TRITS[drawn[drawn < 243]].ravel()))
    return out[:count]


def centred_binomial(key: bytes, count: int) -> I64:
    """Errors of the full distribution: popcount of bits 0..20 less popcount of bits 21..41 of a word each."""
    return binomial(words(key, count))


def binomial(drawn: U64) -> I64:
    """The error of each uniform word: the bits to be taken away are flipped, so that one count does for both."""
    ones = np.bitwise_count((drawn ^ FLIPPED) & ERROR_BITS)
    errors: I64 = ones.astype(np.int64) - ETA
    return errors


def permutation(count: int) -> I64:
    """A uniform random order of `count` things, from the operating system's generator."""
    key = fresh_key()
    drawn = expand(key, 16 * count).view("<u8").reshape(count, 2)
    return np.lexsort((drawn[:, 1], drawn[:, 0])).astype(np.int64)
