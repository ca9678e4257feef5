"""The plaintext plan: how a tree's gradients become integers that cannot overflow, and how they lie in one entry.

One entry of M·u has 42 bits. A field (g or h) takes the bits that its sums and their noise need, and no more: the
partner fills all higher bits with random ones, so that nothing else can be hidden there. Packed, g lies above h in one
entry; else each has a vector of its own. The unit of a field is the smallest power of two with which both fit over all
of the tree's rows, so that all parties' sums are in one unit and every engine computes with the very same integers.
"""

from dataclasses import dataclass
from math import ceil, frexp, log2, sqrt
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from protocol.errors import RefusedError
from protocol.messages import F64, I64

PACKED_BITS: Final = 21
"""A field has at most so many bits where the unit is chosen for a packed entry."""
WHOLE_BITS: Final = 42
NOISE_CUT: Final = 8
"""Noise never exceeds this many standard deviations, and the plan reserves as much."""
MIN_ROW_BITS: Final = 5
"""Gradients of fewer bits a row cost accuracy (Shi et al., NeurIPS 2022: 3 to 5 lose none)."""

Bits = Annotated[int, Meta(ge=1, le=WHOLE_BITS)]
RowBits = Annotated[int, Meta(ge=0, lt=WHOLE_BITS)]


class FieldBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is declared of one field of a query.

    row_log2: a row's integer is at most 2^row_log2 in size. bits: P; a sum with its noise is below 2^(P - 1) in size.
    """

    row_log2: RowBits
    bits: Bits

    def sigma(self, histogram_noise: float) -> float:
        """Standard deviation of the noise on this field's sums, in integer units."""
        return float(histogram_noise * 2.0**self.row_log2)

    def widest(self, rows: int, histogram_noise: float) -> int:
        """The most bits that sums of so many rows can need."""
        return self.row_log2 + ceil(log2(rows + NOISE_CUT * histogram_noise + 1)) + 1


@dataclass(frozen=True)
class Packing:
    """How the (g, h) of one tree lie in the entries of one partner's vectors."""

    packed: bool
    g: FieldBounds
    h: FieldBounds

    @property
    def vectors_a_node(self) -> int:
        """Vectors that carry one node."""
        return 1 if self.packed else 2

    @property
    def bits(self) -> tuple[int, ...]:
        """Bits in use of an entry of each vector of a node."""
        return (self.g.bits + self.h.bits,) if self.packed else (self.g.bits, self.h.bits)

    def vectors(self, g: I64, h: I64) -> I64:
        """Integer vectors of one node, shape (1 or 2, n)."""
        return ((g << self.h.bits) + h)[None] if self.packed else np.stack((g, h))

    def split(self, sums: I64) -> I64:
        """Sums of g and h, shape (R, 2), from the opened sums of one node, shape (1 or 2, R).

        Bits above those in use are random: each sum is reduced to its signed value.
        """
        if not self.packed:
            return np.stack((signed(sums[0], self.g.bits), signed(sums[1], self.h.bits)), axis=1)
        h = signed(sums[0], self.h.bits)
        return np.stack((signed((sums[0] - h) >> self.h.bits, self.g.bits), h), axis=1)


def signed(values: I64, bits: int | I64) -> I64:
    """Values modulo 2^bits, in [-2^(bits - 1), 2^(bits - 1)); higher bits are ignored. bits: 1 to 64, or an array."""
    shift = 64 - np.asarray(bits, dtype=np.int64)
    out: I64 = (values << shift) >> shift
    return out


@dataclass(frozen=True)
class Field:
    """One field: value = integer * 2^unit_log2. A row's integer is at most 2^row_log2 in size."""

    unit_log2: int
    row_log2: int

    @property
    def unit(self) -> float:
        """The worth of the integer 1."""
        return float(2.0**self.unit_log2)

    def quantise(self, values: F64, uniforms: F64) -> I64:
        """Stochastic rounding to integers: unbiased; uniforms in [0, 1), one a row."""
        return np.floor(values * 2.0**-self.unit_log2 + uniforms).astype(np.int64)

    def nearest(self, values: F64) -> I64:
        """The nearest integers, for sums that are never encrypted."""
        return np.rint(values * 2.0**-self.unit_log2).astype(np.int64)

    def bounds(self, values: I64, histogram_noise: float) -> FieldBounds:
        """The least bits for sums over any of these integers, shape (n,), and their noise."""
        most = max(int(values[values > 0].sum()), -int(values[values < 0].sum()))
        need = most + ceil(NOISE_CUT * histogram_noise * 2.0**self.row_log2)
        return FieldBounds(self.row_log2, need.bit_length() + 1)


@dataclass(frozen=True)
class Plan:
    """The units of one tree's (g, h), which all parties share, and whether both lie in one entry."""

    packed: bool
    g: Field
    h: Field

    def packing(self, values: I64, histogram_noise: float, party: str = "bank") -> Packing:
        """How a partner's vectors are laid out. values: quantised (g, h) of the tree's rows that it holds, (n, 2).

        Raises: RefusedError: the sums do not fit the plaintext.
        """
        g, h = (field.bounds(values[:, k], histogram_noise) for k, field in enumerate((self.g, self.h)))
        packing = Packing(self.packed, g, h)
        if max(packing.bits) > WHOLE_BITS:
            raise RefusedError(
                party,
                f"the sums of a tree need {max(packing.bits)} bits, and the plaintext has {WHOLE_BITS}",
                "train on fewer rows",
            )
        return packing


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


def local_plan(g: F64, h: F64) -> Plan:
    """The plan of a tree that is summed at the bank alone: units so fine that doubles lose nothing to them."""
    return Plan(False, *(_whole_field(values) for values in (g, h)))


def _whole_field(values: F64) -> Field:
    """The finest unit with which the sum of all sizes stays below 2^62."""
    total = float(np.abs(values).sum())
    return Field(frexp(total)[1] - 62, 62) if total else Field(0, 0)


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
