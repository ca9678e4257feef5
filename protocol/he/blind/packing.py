"""The last step of sealing: from the inverse FFT of a·s to the words that are sent, in one pass over memory.

The compiled loop takes half a block at a time, so that it runs over what lies side by side and eight coefficients
become one vector instruction; its errors are counted in the register (the population count of Hacker's Delight, 5-1,
which the compiler knows).
"""

from typing import Final

import numpy as np

from protocol.compiled import compiled, of_types
from protocol.he.parameters import DELTA_LOG2, ETA, LIMB_BITS, LOW_BITS, N
from protocol.he.ring import C128, HALF, from_limbs, unfold, untwist
from protocol.he.streams import ERROR_BITS, FLIPPED, binomial
from protocol.messages import F64, I64, U8, U64

DELTA_SHIFT: Final = DELTA_LOG2 - LOW_BITS
"""Delta, in units of a top word's last bit."""
_MASK: Final = (1 << LIMB_BITS) - 1
_TWOS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS, _SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


def pack(folded: C128, drawn: U64, values: I64, high: U64, low: U8) -> None:
    """Write round(folded) + errors + Delta·values as residues; the first `len(values)` coefficients of the blocks.

    folded: after the inverse FFT, shape (J, 4, N/2), overwritten. drawn: a uniform word an error (`binomial`).
    drawn, values, high: shape (m,), m <= J N. low: shape (m, 5). Raises: ValueError: other shapes or types.
    """
    m, typed = len(values), of_types((drawn, values, high, low), np.uint64, np.int64, np.uint64, np.uint8)
    shaped = drawn.shape == values.shape == high.shape == (m,) and low.shape == (m, 5)
    blocks = folded.ndim == 3 and folded.shape[1:] == (4, HALF) and m <= len(folded) * N
    if not shaped or not blocks or not typed:
        raise ValueError("the arrays of a sealed vector do not fit each other")
    _pack(folded.view(np.float64).reshape(*folded.shape, 2), _UNTWIST, drawn, values, high, low)


def _pack_numpy(folded: F64, untwist: F64, drawn: U64, values: I64, high: U64, low: U8) -> None:
    limbs, m = unfold(folded.view(np.complex128)[..., 0]), len(values)
    padded = np.zeros(len(limbs) * N, dtype=np.int64)
    padded[:m] = binomial(drawn)
    limbs[:, 0] += padded.reshape(-1, N)
    residues = from_limbs(limbs)
    high[:] = residues.high.reshape(-1)[:m] + (values.view(np.uint64) << np.uint64(DELTA_SHIFT))
    low[:] = residues.low.reshape(-1, 1)[:m].view(np.uint8)[:, :5]


@compiled(fallback=_pack_numpy)
def _pack(folded: F64, untwist: F64, drawn: U64, values: I64, high: U64, low: U8) -> None:
    lower = np.empty(HALF, dtype=np.int64)
    for half in range(np.uintp((len(values) + HALF - 1) // HALF)):
        begin = half * np.uintp(HALF)
        end = min(begin + np.uintp(HALF), np.uintp(len(values)))
        f0, f1, f2, f3 = folded[half // np.uintp(2)]
        cos, sin = untwist[half % np.uintp(2)]
        draws, units, tops, fives = drawn[begin:end], values[begin:end], high[begin:end], low[begin:end]
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
            upper = (c1 & _MASK) >> 14 | (c2 & _MASK) << 12 | (c3 & _MASK) << 38
            tops[t] = np.uint64(upper + (units[t] << DELTA_SHIFT))
            lower[t] = (c0 & _MASK) | (c1 & 0x3FFF) << 26
        for t in range(len(units)):
            fives[t, 0] = lower[t] & 255
            fives[t, 1] = lower[t] >> 8 & 255
            fives[t, 2] = lower[t] >> 16 & 255
            fives[t, 3] = lower[t] >> 24 & 255
            fives[t, 4] = lower[t] >> 32


def by_half(untwist: C128) -> F64:
    """What a point's real and imaginary part are multiplied with, for either half of a block, shape (2, 2, N/2)."""
    return np.array([[untwist.real, -untwist.imag], [untwist.imag, untwist.real]])


_UNTWIST: Final = by_half(untwist())
