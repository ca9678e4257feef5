"""The last step of sealing for whole numbers: from the inverse FFT of a·s to the bytes that are sent, in one pass.

s is ternary, so that here, and not in hints, `ring.error_bound` allows limbs of 26 bits: eight FFTs in place of
thirteen. As in `packing.py`, the compiled loop takes half a block at a time and counts its errors in the register.
"""

from typing import Final

import numpy as np

from protocol.compiled import compiled, of_types
from protocol.he.blind.packing import by_half
from protocol.he.blind.wide_ring import DELTA_WORDS, WORD_BITS, WORDS, N, carried, centred, public_words
from protocol.he.integers import U16
from protocol.he.parameters import ETA, LIMB_BITS
from protocol.he.ring import C128, transform, unfold, untwist
from protocol.he.streams import ERROR_BITS, FLIPPED, binomial
from protocol.messages import F64, I64, U64

WIDE_LIMBS: Final = WORDS * WORD_BITS // LIMB_BITS
_HALF: Final = N // 2
_MASK: Final = (1 << LIMB_BITS) - 1
_TWOS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS, _SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_LOW: Final = np.uint64(0xFFFF)


def wide_limbs(words: U16) -> I64:
    """Centred limbs of 26 bits of residues, least first: shape (13, K) to (8, K)."""
    padded = np.concatenate((words, np.zeros((2, words.shape[1]), dtype=np.uint16))).astype(np.int64)
    out = np.empty((WIDE_LIMBS, words.shape[1]), dtype=np.int64)
    for k in range(WIDE_LIMBS):
        at, off = divmod(LIMB_BITS * k, WORD_BITS)
        three = padded[at] | padded[at + 1] << WORD_BITS | padded[at + 2] << 2 * WORD_BITS
        out[k] = three >> off & _MASK
    return centred(out, LIMB_BITS)


def sealing_points(seed: bytes, block: int) -> C128:
    """a' (block 0) or a_block, in transformed limbs, shape (8, N/2)."""
    return transform(wide_limbs(public_words(seed, block)).astype(np.float64))


def wide_pack(folded: C128, drawn: U64, values: I64, out: U16) -> None:
    """Write round(folded) + errors + Delta·values as residues; the first `len(values)` coefficients of one block.

    folded: after the inverse FFT, shape (8, N/2), overwritten. drawn: a uniform word an error (`binomial`).
    drawn, values: shape (m,), m <= N. out: words of residues, shape (m, 13).
    Raises: ValueError: other shapes or types.
    """
    m, typed = len(values), of_types((drawn, values, out), np.uint64, np.int64, np.uint16)
    shaped = drawn.shape == values.shape == (m,) and out.shape == (m, WORDS) and m <= N
    if not shaped or folded.shape != (WIDE_LIMBS, _HALF) or not typed:
        raise ValueError("the arrays of a sealed vector do not fit each other")
    _pack(folded.view(np.float64).reshape(WIDE_LIMBS, _HALF, 2), _UNTWIST, drawn, values, out)


def _pack_numpy(folded: F64, untwist: F64, drawn: U64, values: I64, out: U16) -> None:
    limbs, m = unfold(folded.view(np.complex128)[..., 0])[:, : len(values)], len(values)
    limbs[0] += binomial(drawn)
    words = np.zeros((WORDS, m), dtype=np.int64)
    for k, limb in enumerate(limbs):
        at, off = divmod(LIMB_BITS * k, WORD_BITS)
        words[at] += limb << off
    words[DELTA_WORDS:] += np.ascontiguousarray(values, dtype="<i8").view("<u2").reshape(m, -1).T
    out[:] = carried(words)[0].T


@compiled(fallback=_pack_numpy)
def _pack(folded: F64, untwist: F64, drawn: U64, values: I64, out: U16) -> None:
    first, second = np.empty(_HALF, dtype=np.uint64), np.empty(_HALF, dtype=np.uint64)
    third, fourth = np.empty(_HALF, dtype=np.uint64), np.empty(_HALF, dtype=np.uint64)
    f0, f1, f2, f3, f4, f5, f6, f7 = folded
    for half in range(np.uintp((len(values) + _HALF - 1) // _HALF)):
        begin = half * np.uintp(_HALF)
        end = min(begin + np.uintp(_HALF), np.uintp(len(values)))
        cos, sin = untwist[half]
        draws, units, words = drawn[begin:end], values[begin:end], out[begin:end]
        for t in range(len(units)):
            ones = (draws[t] ^ FLIPPED) & ERROR_BITS
            ones -= (ones >> np.uint64(1)) & _TWOS
            ones = (ones & _FOURS) + ((ones >> np.uint64(2)) & _FOURS)
            ones = (ones + (ones >> np.uint64(4))) & _EIGHTS
            error = np.int64((ones * _SUM) >> np.uint64(56)) - ETA
            c0 = np.int64(np.rint(f0[t, 0] * cos[t] + f0[t, 1] * sin[t])) + error
            c1 = np.int64(np.rint(f1[t, 0] * cos[t] + f1[t, 1] * sin[t])) + (c0 >> LIMB_BITS)
            c2 = np.int64(np.rint(f2[t, 0] * cos[t] + f2[t, 1] * sin[t])) + (c1 >> LIMB_BITS)
            c3 = np.int64(np.rint(f3[t, 0] * cos[t] + f3[t, 1] * sin[t])) + (c2 >> LIMB_BITS)
            c4 = np.int64(np.rint(f4[t, 0] * cos[t] + f4[t, 1] * sin[t])) + (c3 >> LIMB_BITS)
            c5 = np.int64(np.rint(f5[t, 0] * cos[t] + f5[t, 1] * sin[t])) + (c4 >> LIMB_BITS)
            c6 = np.int64(np.rint(f6[t, 0] * cos[t] + f6[t, 1] * sin[t])) + (c5 >> LIMB_BITS)
            c7 = np.int64(np.rint(f7[t, 0] * cos[t] + f7[t, 1] * sin[t])) + (c6 >> LIMB_BITS)
            # Limb k begins at bit 26 k: words of 64 bits begin inside limbs 2, 4 and 7; Delta inside the third word.
            first[t] = np.uint64((c0 & _MASK) | (c1 & _MASK) << 26 | (c2 & 0xFFF) << 52)
            second[t] = np.uint64((c2 & _MASK) >> 12 | (c3 & _MASK) << 14 | (c4 & 0xFFFFFF) << 40)
            before = np.uint64((c4 & _MASK) >> 24 | (c5 & _MASK) << 2 | (c6 & _MASK) << 28 | (c7 & 0x3FF) << 54)
            after = before + (np.uint64(units[t]) << np.uint64(16))
            third[t] = after
            fourth[t] = (
                np.uint64((c7 & _MASK) >> 10) + (np.uint64(units[t]) >> np.uint64(48)) + np.uint64(after < before)
            )
        for t in range(len(units)):
            for k in range(4):
                shift = np.uint64(16 * k)
                words[t, k] = np.uint16(first[t] >> shift & _LOW)
                words[t, 4 + k] = np.uint16(second[t] >> shift & _LOW)
                words[t, 8 + k] = np.uint16(third[t] >> shift & _LOW)
            words[t, 12] = np.uint16(fourth[t] & _LOW)


_UNTWIST: Final = by_half(untwist(_HALF))
