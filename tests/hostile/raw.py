"""An encoder of MessagePack that checks nothing, and bodies made from the type declarations of a message kind.

It sends what our types forbid: names twice in one map, strings that are no UTF-8, numbers and nesting of any size.
"""

import re
import struct
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any, Final, TypeVar, get_type_hints

import msgspec
import numpy as np
from msgspec import inspect

from protocol.messages import CATALOGUE

ARRAYS: Final[dict[str, tuple[int, ...]]] = {
    "high": (1, 2), "low": (1, 2, 5), "residues": (1, 2, 26), "points": (2, 32), "tags": (2, 16), "values": (1, 2),
    "sums": (1, 2), "columns": (1, 2, 10), "weight": (1, 2, 10),
}  # fmt: skip
"""Shapes of arrays that fit each other, by field; of all others, (2,)."""
EXTREMES: Final[tuple[Any, ...]] = (
    0, -1, 1 << 31, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1, float("nan"), float("inf"), -float("inf"), 1e308, None,
    True, "", "../../x", "a" * 64 + "\n", "\x1b[2J", "\ud800", "<b>", "x" * 70_000, b"", b"\0" * 5000, (), {},
    ("<u8", (1 << 40, 1 << 24), b""), ("|O8", (1,), b"\0" * 8), ("<u8", (-1,), b""),
    ("<i8", (1, 1, 1, 1, 1), b"\0" * 8),
)  # fmt: skip


S = TypeVar("S", bound=msgspec.Struct)


def unchecked(message: S, **fields: object) -> S:
    """The same with other fields, which its own checks would refuse: as a peer makes it that leaves them out."""
    out = copy(message)
    for name, value in fields.items():
        msgspec.structs.force_setattr(out, name, value)
    return out


@dataclass(frozen=True)
class Pairs:
    """A map as its pairs, so that a name can come twice."""

    pairs: tuple[tuple[Any, Any], ...]


def packed(value: Any) -> bytes:
    """The value in MessagePack, whatever it is."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            octets = value.encode("utf-8", "surrogatepass")
            return b"\xdb" + struct.pack(">I", len(octets)) + octets
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case tuple() | list():
            return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(packed, value))
        case dict():
            return packed(Pairs(tuple(value.items())))
        case Pairs():
            return (
                b"\xdf" + struct.pack(">I", len(value.pairs)) + b"".join(packed(k) + packed(v) for k, v in value.pairs)
            )
    raise TypeError(type(value).__name__)


def valid(kind: str, rng: Random) -> Any:
    """A value of a kind's type as it would be sent, most often one that is accepted."""
    return _made(inspect.type_info(CATALOGUE[kind]), "", rng, 0)


def _made(wanted: Any, field: str, rng: Random, depth: int) -> Any:
    make = _MAKERS[type(wanted)]
    return make(wanted, field, rng, depth)


def _struct(wanted: Any, field: str, rng: Random, depth: int) -> Any:
    tag = {wanted.tag_field: wanted.tag} if wanted.tag is not None else {}
    chosen = [f for f in wanted.fields if f.required or rng.random() < 0.5]
    return tag | {f.encode_name: _made(f.type, _field(wanted.cls, f.name), rng, depth + 1) for f in chosen}


def _union(wanted: Any, field: str, rng: Random, depth: int) -> Any:
    kinds = [t for t in wanted.types if type(t) in _MAKERS]
    return _made(rng.choice(kinds), field, rng, depth)


def _integer(wanted: Any, field: str, rng: Random, depth: int) -> int:
    least = wanted.ge if wanted.ge is not None else (-9 if wanted.gt is None else wanted.gt + 1)
    most = wanted.le if wanted.le is not None else (least + 9 if wanted.lt is None else wanted.lt - 1)
    return int(rng.choice((least, most, rng.randint(least, min(most, least + 9)))))


def _number(wanted: Any, field: str, rng: Random, depth: int) -> float:
    return rng.uniform(max(wanted.ge or 0, 0), min(wanted.le or 1, 1))


def _text(wanted: Any, field: str, rng: Random, depth: int) -> str:
    if wanted.pattern:
        return "".join(rng.choice("0123456789abcdef") for _ in range(64))
    return "plain"


def _octets(wanted: Any, field: str, rng: Random, depth: int) -> bytes:
    return rng.randbytes(wanted.min_length or min(3, 3 if wanted.max_length is None else wanted.max_length))


def _several(wanted: Any, field: str, rng: Random, depth: int) -> tuple[Any, ...]:
    count = rng.randint(wanted.min_length or 0, max(wanted.min_length or 0, 2 if depth < 6 else 0))
    return tuple(_made(wanted.item_type, field, rng, depth + 1) for _ in range(count))


def _array(wanted: Any, field: str, rng: Random, depth: int) -> tuple[Any, ...]:
    name, _, kind = field.partition(":")
    dtype, shape = np.dtype(kind).newbyteorder("<"), ARRAYS.get(name, (2,))
    if name == "hint":
        shape = (1, 0) if kind == "uint64" else (1, 0, 10)
    return (dtype.str, shape, bytes(prod(shape) * dtype.itemsize))


def _field(cls: type, name: str) -> str:
    """The field's name, and after a colon the numbers of its array, which `inspect` leaves out."""
    found = re.search(r"numpy\.(u?int\d+|float\d+)", str(get_type_hints(cls)[name]))
    return f"{name}:{found[1]}" if found else name


_MAKERS: Final[dict[type, Callable[[Any, str, Random, int], Any]]] = {
    inspect.StructType: _struct,
    inspect.UnionType: _union,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.StrType: _text,
    inspect.BytesType: _octets,
    inspect.VarTupleType: _several,
    inspect.TupleType: lambda w, f, r, d: tuple(_made(t, f, r, d + 1) for t in w.item_types),
    inspect.DictType: lambda w, f, r, d: {_made(w.key_type, f, r, d): _made(w.value_type, f, r, d)},
    inspect.LiteralType: lambda w, f, r, d: r.choice(w.values),
    inspect.BoolType: lambda w, f, r, d: r.random() < 0.5,
    inspect.NoneType: lambda w, f, r, d: None,
    inspect.CustomType: _array,
}


def mutated(value: Any, rng: Random) -> Any:
    """The value with one place of it changed: dropped, doubled, swapped, nested deeply or made extreme."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        return _changed_map(value, rng)
    if isinstance(value, tuple) and value and rng.random() < 0.75:
        at = rng.randrange(len(value))
        return (*value[:at], mutated(value[at], rng), *value[at + 1 :])
    return _extreme(value, rng)


def _changed_map(value: dict[Any, Any], rng: Random) -> Any:
    name, how = rng.choice(sorted(value)), rng.randrange(6)
    if how == 0:
        return {k: v for k, v in value.items() if k != name}
    if how == 1:
        return Pairs((*value.items(), (name, mutated(value[name], rng))))
    if how == 2:
        return {**value, "unknown": 1}
    if how == 3:
        return {**value, name: value[rng.choice(sorted(value))]}
    return {**value, name: mutated(value[name], rng)}


def _extreme(value: Any, rng: Random) -> Any:
    how = rng.randrange(8)
    if how == 0:
        for _ in range(rng.choice((3, 40, 120))):
            value = (value,) if rng.random() < 0.5 else {"x": value}
        return value
    if how == 1:
        return (value,) * rng.choice((2, 300))
    return rng.choice(EXTREMES)


def struct_kinds() -> list[str]:
    """All kinds that can be sent, in order."""
    return sorted(CATALOGUE)
