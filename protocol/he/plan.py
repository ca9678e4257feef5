"""The plaintext plan: how a tree's gradients become integers that cannot overflow.

One entry of M·u has 42 signed bits. Packed, g and h share it, 21 bits each; else each has a vector of its own.
A bin's sum lies between the sum of the negative and the sum of the positive values of the tree's rows; to that
comes the noise of the sums, cut at 8 sigma. The unit of a field is the smallest power of two with which both fit,
so that every engine computes with the very same integers.
"""

from dataclasses import dataclass
from math import ceil, frexp, log2, sqrt
from typing import Final

import numpy as np

from protocol.errors import RefusedError
from protocol.messages import F64, I64

PACKED_BITS: Final = 21
WHOLE_BITS: Final = 42
NOISE_CUT: Final = 8
"""Noise never exceeds this many standard deviations, and the plan reserves as much."""
MIN_ROW_BITS: Final = 5
"""Gradients of fewer bits a row cost accuracy (Shi et al., NeurIPS 2022: 3 to 5 lose none)."""


@dataclass(frozen=True)
class Field:
    """One field: value = integer * 2^unit_log2. A row's integer is at most 2^row_log2 in size."""

    unit_log2: int
    row_log2: int

    @property
    def unit(self) -> float:
        """The worth of the integer 1."""
        return float(2.0**self.unit_log2)

    def sigma(self, histogram_noise: float) -> float:
        """Standard deviation of the noise on this field's sums, in integer units."""
        return float(histogram_noise * 2.0**self.row_log2)

    def quantise(self, values: F64, uniforms: F64) -> I64:
        """Stochastic rounding to integers: unbiased; uniforms in [0, 1), one a row."""
        return np.floor(values * 2.0**-self.unit_log2 + uniforms).astype(np.int64)


@dataclass(frozen=True)
class Plan:
    """How the (g, h) of one tree are laid into vectors."""

    packed: bool
    g: Field
    h: Field

    def vectors(self, g: I64, h: I64) -> I64:
        """Integer vectors of one node, shape (1 or 2, n)."""
        return ((g << PACKED_BITS) + h)[None] if self.packed else np.stack((g, h))

    def split(self, sums: I64) -> I64:
        """Sums of g and h, shape (R, 2), from the opened sums of one node, shape (1 or 2, R)."""
        if not self.packed:
            return np.stack((sums[0], sums[1]), axis=1)
        half = 1 << (PACKED_BITS - 1)
        h = ((sums[0] + half) & ((1 << PACKED_BITS) - 1)) - half
        return np.stack(((sums[0] - h) >> PACKED_BITS, h), axis=1)


def make_plan(g: F64, h: F64, histogram_noise: float, party: str = "bank") -> Plan:
    """The plan of a tree: packed if that leaves g enough bits a row.

    g, h: of the tree's rows, shape (n,). Raises: RefusedError if even two vectors cannot hold the sums.
    """
    packed = _fields(g, h, histogram_noise, PACKED_BITS)
    if packed and packed[0].row_log2 >= MIN_ROW_BITS:
        return Plan(True, *packed)
    whole = _fields(g, h, histogram_noise, WHOLE_BITS)
    if whole is None:
        raise RefusedError(
            party,
            f"sums of {len(g)} rows with histogram_noise {histogram_noise:g} do not fit {WHOLE_BITS} plaintext bits",
            "lower histogram_noise or train on fewer rows",
        )
    return Plan(False, *whole)


def _fields(g: F64, h: F64, noise: float, bits: int) -> tuple[Field, Field] | None:
    bounds = [(max(g[g > 0].sum(), -g[g < 0].sum()), np.abs(g).max(initial=0.0)), (h.sum(), h.max(initial=0.0))]
    fields = [_field(float(total), float(largest), len(g), noise, bits) for total, largest in bounds]
    return None if fields[0] is None or fields[1] is None else (fields[0], fields[1])


def _field(total: float, largest: float, n: int, noise: float, bits: int) -> Field | None:
    """The finest unit with which |sum| + rounding + 8 sigma stays below 2^(bits - 1)."""
    if largest <= 0:
        return Field(0, 0)
    room = 2.0 ** (bits - 1) - 1
    finest = frexp(largest)[1] - (bits - 2)
    for unit_log2 in range(finest, finest + bits + 8):
        row_log2 = max(0, ceil(log2(largest * 2.0**-unit_log2 + 1)))
        need = total * 2.0**-unit_log2 + rounding_room(n) + NOISE_CUT * noise * 2.0**row_log2
        if need < room:
            return Field(unit_log2, row_log2) if largest * 2.0**-unit_log2 >= 1 else None
    return None


def rounding_room(n: int) -> float:
    """By how much a sum of n stochastically rounded values may exceed the exact one: certain for few, 2^-80 else."""
    return min(float(n), 8.0 * sqrt(n) + 16.0)
