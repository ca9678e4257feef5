"""Messages: everything that may leave a node, declared.

A message is a frozen value with a kind, and a `Disclosure` that says in plain words what it contains,
whether that is encrypted, and what it is for. Nothing else can be sent: the codec knows only the kinds in
`CATALOGUE`. Decoding is strict: an unknown field, a wrong dtype or a byte left over is an error.
"""

import hashlib
from collections.abc import Callable, Sequence
from math import prod
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from protocol.fields import NameOrNone, Sentence, as_shown, as_shown_in_json, require_printable

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MOST_AXES: Final = 4
MOST_EMPTY: Final = 1 << 24
"""Length of an axis of an array without data: the hint of an engine that needs none has a row a bin."""
MOST_FIELDS: Final = 16_000
"""Bytes of what the ledger keeps of a message's fields, in UTF-8."""
MOST_BYTES: Final = 1 << 16
"""Of a body without arrays, unless its declaration says otherwise."""
Bound = int | Callable[[int], int]
"""Bytes of a body at most; or, by the receiver's number of rows."""


class Disclosure(msgspec.Struct, frozen=True):
    """What a message gives away, for the ledger and the report."""

    content: str
    encrypted: bool
    purpose: str


def as_sent(declared_as: Disclosure, clear: bool) -> Disclosure:
    """Engine `plaintext` sends in clear what is declared as encrypted, and the ledger must say so."""
    return Disclosure(declared_as.content, declared_as.encrypted and not clear, declared_as.purpose)


class Message(msgspec.Struct, frozen=True, kw_only=True, eq=False, forbid_unknown_fields=True):
    """Base of all messages. Subclasses are declared with `@declared(...)`."""

    KIND: ClassVar[str]
    DISCLOSURE: ClassVar[Disclosure]
    BOUND: ClassVar[Bound]

    @property
    def disclosure(self) -> Disclosure:
        """What this very message gives away: its declaration, unless its body says otherwise."""
        return self.DISCLOSURE

    def __repr__(self) -> str:  # never the content: messages end up in logs and tracebacks
        return f"<{type(self).KIND}>"


CATALOGUE: Final[dict[str, type[Message]]] = {}
M = TypeVar("M", bound=Message)


def declared(
    kind: str, *, content: str, purpose: str, encrypted: bool = False, most_bytes: Bound = MOST_BYTES
) -> Callable[[type[M]], type[M]]:
    """Class decorator: enter a message kind, with its disclosure, into the catalogue. most_bytes: of a body."""

    def enter(cls: type[M]) -> type[M]:
        if kind in CATALOGUE:
            raise ValueError(f"message kind {kind!r} is declared twice")
        cls.KIND = kind
        cls.DISCLOSURE = Disclosure(content, encrypted, purpose)
        cls.BOUND = most_bytes
        CATALOGUE[kind] = cls
        return cls

    return enter


@declared("refusal", content="an error sentence and its exit code", purpose="say why no answer follows")
class Refusal(Message, frozen=True):
    """The reply in place of an answer. Raised again at the other side with the same exit code."""

    code: Annotated[int, msgspec.Meta(ge=0, le=255)]
    party: NameOrNone
    thing: Sentence
    remedy: Sentence
    rule: NameOrNone = ""

    def __post_init__(self) -> None:
        require_printable(self.party, self.thing, self.remedy, self.rule)


class Malformed(ValueError):
    """The bytes are not a message of the stated kind. Holds no content. rule: what they break."""

    def __init__(self, *args: object, rule: str = "codec") -> None:
        super().__init__(*args)
        self.rule = rule


def cleartext(message: Message) -> str:
    """What a message says in clear, as one line of JSON: for the ledger, and for whoever looks into it later.

    Arrays are told by dtype and shape, bytes by their number and SHA-256. A line of more than `MOST_FIELDS` bytes is
    cut, and ends with the SHA-256 of the whole. Characters that cannot be shown are escaped as JSON escapes them.
    """
    whole = msgspec.json.encode(_told(message))
    line = as_shown_in_json(whole[:MOST_FIELDS].decode(errors="ignore")).encode()
    if max(len(whole), len(line)) <= MOST_FIELDS:
        return line.decode()
    return f"{line[:MOST_FIELDS].decode(errors='ignore')}... sha256 {hashlib.sha256(whole).hexdigest()}"


def _told(value: object) -> object:
    match value:
        case np.ndarray():
            return f"{value.dtype.str} {list(value.shape)}"
        case bytes():
            return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}"
        case msgspec.Struct() if isinstance(text := getattr(value, "text", None), str):
            return text
        case msgspec.Struct():
            return {name: _told(getattr(value, name)) for name in value.__struct_fields__}
        case tuple():
            return [_told(one) for one in value]
        case dict():
            return {key: _told(one) for key, one in value.items()}
        case msgspec.UnsetType():
            return None
    return value


def most_bytes(kind: str, rows: int) -> int:
    """Bytes of a body of this kind at most, at a receiver whose tables have so many rows. Raises: Malformed."""
    if kind not in CATALOGUE:
        raise Malformed(f"unknown message kind {as_shown(kind, 40)!r}")
    bound = CATALOGUE[kind].BOUND
    return bound if isinstance(bound, int) else bound(rows)


def require_size(kind: str, size: int, most: int) -> None:
    """Raises: Malformed: a body of this kind has more than so many bytes."""
    if size > most:
        raise Malformed(f"a {kind} of {size} bytes, where {most} are the most", rule="size")


def encode(message: Message) -> bytes:
    """The one canonical encoding of a message body: MessagePack, arrays as (dtype, shape, bytes)."""
    return msgspec.msgpack.encode(message, enc_hook=_pack)


def encoded_size(message: Message) -> int:
    """Bytes of `encode(message)`, without writing its arrays out: a hint has 20 MB."""
    arrays = 0

    def without_data(value: object) -> Sequence[Any]:
        nonlocal arrays
        dtype, shape, data = _pack(value)
        size = memoryview(data).nbytes
        # MessagePack begins 8-bit lengths with two bytes, 16-bit ones with three, 32-bit ones with five.
        arrays += size + (size > 0xFF) + 2 * (size > 0xFFFF)
        return dtype, shape, b""

    return len(msgspec.msgpack.encode(message, enc_hook=without_data)) + arrays


def decode(kind: str, body: bytes | memoryview) -> Message:
    """The message in `body`.

    Raises:
        Malformed: an unknown kind, field, type, dtype or shape, or bytes left over.
    """
    if kind not in CATALOGUE:
        raise Malformed(f"unknown message kind {as_shown(kind, 40)!r}")
    try:
        return msgspec.msgpack.decode(body, type=CATALOGUE[kind], dec_hook=_unpack)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise Malformed(f"not a valid {kind} message") from error


def _pack(value: object) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return (little.dtype.str, little.shape, little.data if little.size else b"")
    raise NotImplementedError(f"{type(value).__name__} has no place in a message")


def _unpack(wanted: Any, value: Any) -> Any:
    shape_and_dtype = get_args(wanted)
    dtype = np.dtype(get_args(shape_and_dtype[1])[0]).newbyteorder("<")
    name, shape, data = value
    if name != dtype.str or not isinstance(data, bytes) or not isinstance(shape, list) or len(shape) > MOST_AXES:
        raise Malformed("an array of another dtype than declared")
    if not all(type(k) is int and 0 <= k <= (len(data) or MOST_EMPTY) for k in shape):
        raise Malformed("an array of impossible shape")
    if prod(shape) * dtype.itemsize != len(data):
        raise Malformed("an array of another length than its shape")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
