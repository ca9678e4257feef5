"""A verifiable oblivious pseudorandom function: mode VOPRF of RFC 9497, suite ristretto255-SHA512.

    bank (input x, fresh blind r)                 partner (key k, public key k·G)
     |-- r·H(x) ------------------------------------>|
     |<- k·r·H(x), and a proof that this k was used --|
     |   takes r off: k·H(x)

The proof (discrete logarithms are equal, RFC 9497 2.2) is one for a batch. Its verifier needs two multiplications an
element, so that a proof over a sample that the bank draws after it has the answers stands for a large batch: a partner
that evaluates a share s of the elements under another key passes a sample of m with probability (1 - s)^m.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import rbcl

from protocol.algorithms.group import POINT_BYTES, SCALAR_BYTES, NotAPoint, as_keys
from protocol.messages import U8

CONTEXT: Final = b"OPRFV1-\x01-ristretto255-SHA512"
PROOF_BYTES: Final = 2 * SCALAR_BYTES
_BLOCK: Final = 128
_HASH: Final = 64


def public_key(key: bytes) -> bytes:
    """k·G."""
    return bytes(rbcl.crypto_scalarmult_ristretto255_base(key))


def expand_message(message: bytes, dst: bytes) -> bytes:
    """expand_message_xmd of RFC 9380, 5.3.1, with SHA-512, to 64 bytes."""
    ending = dst + bytes([len(dst)])
    first = hashlib.sha512(bytes(_BLOCK) + message + _HASH.to_bytes(2, "big") + b"\0" + ending).digest()
    return hashlib.sha512(first + b"\x01" + ending).digest()


def hash_to_group(message: bytes) -> bytes:
    """The point of an input."""
    return bytes(rbcl.crypto_core_ristretto255_from_hash(expand_message(message, b"HashToGroup-" + CONTEXT)))


def hash_to_scalar(message: bytes, dst: bytes = b"HashToScalar-") -> bytes:
    """A scalar, reduced mod the group order."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_reduce(expand_message(message, dst + CONTEXT)))


def finalize(value: bytes, blind: bytes, evaluated: bytes) -> bytes:
    """The output for an input: the blind is taken off, and all is hashed."""
    inverse = bytes(rbcl.crypto_core_ristretto255_scalar_invert(blind))
    element = bytes(rbcl.crypto_scalarmult_ristretto255(inverse, evaluated))
    return hashlib.sha512(_sized(value) + _sized(element) + b"Finalize").digest()


def prove(key: bytes, blinded: U8, evaluated: U8, random: bytes) -> bytes:
    """That every element of `evaluated` is the key times that of `blinded`, shape (m, 32). random: a fresh scalar."""
    public = public_key(key)
    m, _ = _composites(public, blinded, evaluated, key)
    z = _multiply(key, m)
    t2, t3 = public_key(random), _multiply(random, m)
    c = _challenge(public, m, z, t2, t3)
    product = rbcl.crypto_core_ristretto255_scalar_mul(c, key)
    return c + bytes(rbcl.crypto_core_ristretto255_scalar_sub(random, bytes(product)))


def verified(public: bytes, blinded: U8, evaluated: U8, proof: bytes) -> bool:
    """Whether a proof holds for the key behind a public one."""
    if len(proof) != PROOF_BYTES or blinded.shape != evaluated.shape or not len(blinded):
        return False
    c, s = proof[:SCALAR_BYTES], proof[SCALAR_BYTES:]
    try:
        m, z = _composites(public, blinded, evaluated)
        t2 = _add(public_key(s), _multiply(c, public))
        t3 = _add(_multiply(s, m), _multiply(c, z))
    except (NotAPoint, TypeError, ValueError, RuntimeError):
        return False
    return _challenge(public, m, z, t2, t3) == c


def _composites(public: bytes, blinded: U8, evaluated: U8, key: bytes | None = None) -> tuple[bytes, bytes]:
    """The weighted sums of both sides; the second is left out where the key is there."""
    seed = hashlib.sha512(_sized(public) + _sized(b"Seed-" + CONTEXT)).digest()
    sums: list[bytes | None] = [None, None]
    for i, (c, d) in enumerate(zip(as_keys(blinded), as_keys(evaluated), strict=True)):
        weight = hash_to_scalar(_sized(seed) + i.to_bytes(2, "big") + _sized(c) + _sized(d) + b"Composite")
        for k, element in enumerate((c, d) if key is None else (c,)):
            weighted, before = _multiply(weight, element), sums[k]
            sums[k] = weighted if before is None else _add(before, weighted)
    return sums[0] or bytes(POINT_BYTES), sums[1] or bytes(POINT_BYTES)


def _challenge(public: bytes, *elements: bytes) -> bytes:
    return hash_to_scalar(b"".join(map(_sized, (public, *elements))) + b"Challenge")


def _multiply(scalar: bytes, point: bytes) -> bytes:
    try:
        return bytes(rbcl.crypto_scalarmult_ristretto255(scalar, point))
    except Exception:
        raise NotAPoint("not a point of the group, or the identity") from None


def _add(one: bytes, other: bytes) -> bytes:
    try:
        return bytes(rbcl.crypto_core_ristretto255_add(one, other))
    except Exception:
        raise NotAPoint("not a point of the group") from None


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def points_of(values: Sequence[bytes]) -> U8:
    """The points of inputs, shape (n, 32)."""
    joined = b"".join(map(hash_to_group, values))
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, POINT_BYTES)
