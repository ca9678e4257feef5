"""The last step of sealing: from the inverse FFT of a·s to the words that are sent, in one pass over memory."""

from typing import Final

import numpy as np

from protocol.compiled import compiled
from protocol.he.parameters import DELTA_LOG2, LIMB_BITS, LOW_BITS, N
from protocol.he.ring import C128, HALF, from_limbs, unfold, untwist
from protocol.messages import F64, I64, U8, U64

DELTA_SHIFT: Final = DELTA_LOG2 - LOW_BITS
"""Delta, in units of a top word's last bit."""
_MASK: Final = (1 << LIMB_BITS) - 1


def pack(folded: C128, errors: I64, values: I64, high: U64, low: U8) -> None:
    """Write round(folded) + errors + Delta·values as residues; the first `len(values)` coefficients of the blocks.

    folded: after the inverse FFT, shape (J, 4, N/2), overwritten. errors, values, high: shape (m,), m <= J N.
    low: shape (m, 5).
    """
    _pack(folded.view(np.float64).reshape(*folded.shape, 2), _UNTWIST, errors, values, high, low)


def _pack_numpy(folded: F64, untwist: F64, errors: I64, values: I64, high: U64, low: U8) -> None:
    limbs, m = unfold(folded.view(np.complex128)[..., 0]), len(values)
    padded = np.zeros(len(limbs) * N, dtype=np.int64)
    padded[:m] = errors
    limbs[:, 0] += padded.reshape(-1, N)
    residues = from_limbs(limbs)
    high[:] = residues.high.reshape(-1)[:m] + (values.view(np.uint64) << np.uint64(DELTA_SHIFT))
    low[:] = residues.low.reshape(-1, 1)[:m].view(np.uint8)[:, :5]


@compiled(fallback=_pack_numpy)
def _pack(folded: F64, untwist: F64, errors: I64, values: I64, high: U64, low: U8) -> None:
    for i in range(np.uintp(len(values))):
        j, half, t = i // np.uintp(N), (i // np.uintp(HALF)) % np.uintp(2), i % np.uintp(HALF)
        cos, sin = untwist[t, np.uintp(0)], untwist[t, np.uintp(1)]
        if half:
            cos, sin = sin, cos
        else:
            sin = -sin
        c0 = np.int64(np.rint(folded[j, 0, t, 0] * cos + folded[j, 0, t, 1] * sin)) + errors[i]
        c1 = np.int64(np.rint(folded[j, 1, t, 0] * cos + folded[j, 1, t, 1] * sin)) + (c0 >> LIMB_BITS)
        c2 = np.int64(np.rint(folded[j, 2, t, 0] * cos + folded[j, 2, t, 1] * sin)) + (c1 >> LIMB_BITS)
        c3 = np.int64(np.rint(folded[j, 3, t, 0] * cos + folded[j, 3, t, 1] * sin)) + (c2 >> LIMB_BITS)
        upper = (c1 & _MASK) >> 14 | (c2 & _MASK) << 12 | (c3 & _MASK) << 38
        high[i] = np.uint64(upper + (values[i] << DELTA_SHIFT))
        lower = (c0 & _MASK) | (c1 & 0x3FFF) << 26
        low[i, 0] = lower & 255
        low[i, 1] = lower >> 8 & 255
        low[i, 2] = lower >> 16 & 255
        low[i, 3] = lower >> 24 & 255
        low[i, 4] = lower >> 32


_UNTWIST: Final = untwist().view(np.float64).reshape(HALF, 2)
