"""The ring Z_q[x]/(x^N + 1), q = 2^104: residues as words, products by a floating-point FFT that is exact.

A residue is high * 2^40 + low: `high` wraps in uint64 as q does, `low` has 40 bits, so that sums of up to 2^24
residues need one carry at the end. A product a·m, a uniform and m small, is taken limb by limb: a in four centred
limbs of 26 bits, each multiplied by a complex FFT of length N/2 (the negacyclic fold: evaluation at the roots
exp(i pi (4k + 1) / N)). `error_bound` proves that rounding to the nearest integer gives the exact product.
"""

from dataclasses import dataclass
from functools import cache
from math import expm1, log1p, log2, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.he.parameters import LIMB_BITS, LIMBS, LOW_BITS, N
from protocol.he.streams import derive, expand
from protocol.messages import F64, I64, U64

C128 = npt.NDArray[np.complex128]
HALF: Final = N // 2
BLOCKS_A_ROUND: Final = 64
"""Blocks whose products may be added before rounding; see `error_bound`."""
_RESIDUE_BYTES: Final = 13
_LOW_MASK: Final = np.uint64((1 << LOW_BITS) - 1)
_LIMB_MASK: Final = (1 << LIMB_BITS) - 1


@dataclass(frozen=True)
class Residues:
    """Residues mod q as two words. high: residue >> 40. low: the low 40 bits. Same shape, uint64."""

    high: U64
    low: U64


def error_bound(limb_bits: int, n: int = N, ones: float | None = None) -> float:
    """A bound on the error of one product's coefficients, before rounding; rounding is exact below 1/2.

    Percival (Math. Comp. 72, 2003, thm 5.1) for a·m by an FFT of length n/2 in double precision:
    |error| <= ||a|| ||m|| ((1 + eps)^(3L) (1 + eps sqrt 5)^(3L + 1) (1 + beta)^(3L) - 1), L = log2(n/2), with
    twiddles correct to beta = eps / sqrt 2 and one more multiplication each for fold and unfold.

    limb_bits: of a's centred limbs. ones: ||m||^2, n if not given (m ternary, or one-hot).
    """
    eps, levels = 2.0**-53, log2(n / 2) + 2
    norm = float(2 ** (limb_bits - 1)) * sqrt(n) * sqrt(n if ones is None else ones)
    # By log1p and expm1, for 1 + eps is 1 in double precision.
    grown = expm1(3 * levels * (log1p(eps) + log1p(eps / sqrt(2))) + (3 * levels + 1) * log1p(eps * sqrt(5)))
    return norm * grown


@cache
def _twist(half: int) -> C128:
    twist: C128 = np.exp(1j * np.pi * np.arange(half) / (2 * half))
    twist.flags.writeable = False
    return twist


@cache
def untwist(half: int = HALF) -> C128:
    """What undoes the fold, shape (N/2,)."""
    return _twist(half).conj()


def transform(values: F64) -> C128:
    """Values of real polynomials at the roots, shape (..., N) to (..., N/2), for any power of two N."""
    half = values.shape[-1] // 2
    return np.asarray(np.fft.fft((values[..., :half] + 1j * values[..., half:]) * _twist(half)))


def untransform(points: C128) -> I64:
    """The integer polynomials of these values, rounded, shape (..., N/2) to (..., N), int64."""
    return unfold(np.fft.ifft(points))


def unfold(folded: C128) -> I64:
    """The second half of `untransform`: after the inverse FFT, which it overwrites."""
    half = folded.shape[-1]
    folded *= untwist(half)
    out = np.empty((*folded.shape[:-1], 2 * half), dtype=np.int64)
    np.rint(folded.real, out=folded.real)
    np.rint(folded.imag, out=folded.imag)
    out[..., :half], out[..., half:] = folded.real, folded.imag
    return out


def public_residues(seed: bytes, count: int) -> Residues:
    """a', a_1 .. a_count of a seed, shape (count + 1, N): 13 bytes a residue, little-endian, from AES-CTR."""
    raw = expand(derive(seed, "public randomness"), (count + 1) * N * _RESIDUE_BYTES)
    raw = raw.reshape(count + 1, N, _RESIDUE_BYTES)
    return Residues(_word(raw[..., 5:]), _word(raw[..., :5]))


def _word(octets: npt.NDArray[np.uint8]) -> U64:
    wide = np.zeros((*octets.shape[:-1], 8), dtype=np.uint8)
    wide[..., : octets.shape[-1]] = octets
    return wide.view("<u8")[..., 0].astype(np.uint64)


def limbs(residues: Residues) -> I64:
    """Centred limbs, least first, each in [-2^25, 2^25), shape (..., 4, N); the last carry is a multiple of q."""
    high, low = residues.high.astype(np.int64), residues.low.astype(np.int64)
    parts = [low, (low >> 26) | (high & 0xFFF) << 14, high >> 12, high >> 38]
    out = np.empty((*low.shape[:-1], LIMBS, low.shape[-1]), dtype=np.int64)
    carry = np.zeros_like(low)
    for k, part in enumerate(parts):
        value = (part & _LIMB_MASK) + carry
        carry = (value + (1 << (LIMB_BITS - 1))) >> LIMB_BITS
        out[..., k, :] = value - (carry << LIMB_BITS)
    return out


def from_limbs(values: I64) -> Residues:
    """The residues of sums of limb products, shape (..., 4, N) to (..., N); each limb below 2^62 in size."""
    c = [values[..., k, :] for k in range(LIMBS)]
    c1 = c[1] + (c[0] >> LIMB_BITS)
    c2 = c[2] + (c1 >> LIMB_BITS)
    c3 = c[3] + (c2 >> LIMB_BITS)
    low = (c[0] & _LIMB_MASK) | (c1 & 0x3FFF) << 26
    high = (c1 & _LIMB_MASK) >> 14 | (c2 & _LIMB_MASK) << 12 | (c3 & _LIMB_MASK) << 38
    return Residues(high.astype(np.uint64), low.astype(np.uint64))


def public_transform(seed: bytes, count: int) -> C128:
    """Transformed limbs of a', a_1 .. a_count, shape (count + 1, 4, N/2)."""
    residues = public_residues(seed, count)
    out = np.empty((count + 1, LIMBS, HALF), dtype=np.complex128)
    for j in range(count + 1):
        out[j] = transform(limbs(Residues(residues.high[j], residues.low[j])).astype(np.float64))
    return out
