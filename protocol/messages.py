"""Messages: everything that may leave a node, declared.

A message is a frozen value with a kind, and a `Disclosure` that says in plain words what it contains,
whether that is encrypted, and what it is for. Nothing else can be sent: the codec knows only the kinds in
`CATALOGUE`. Decoding is strict: an unknown field, a wrong dtype or a byte left over is an error.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeVar, get_args

import msgspec
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


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

    @property
    def disclosure(self) -> Disclosure:
        """What this very message gives away: its declaration, unless its body says otherwise."""
        return self.DISCLOSURE

    def __repr__(self) -> str:  # never the content: messages end up in logs and tracebacks
        return f"<{type(self).KIND}>"


CATALOGUE: Final[dict[str, type[Message]]] = {}
M = TypeVar("M", bound=Message)


def declared(kind: str, *, content: str, purpose: str, encrypted: bool = False) -> Callable[[type[M]], type[M]]:
    """Class decorator: enter a message kind, with its disclosure, into the catalogue."""

    def enter(cls: type[M]) -> type[M]:
        if kind in CATALOGUE:
            raise ValueError(f"message kind {kind!r} is declared twice")
        cls.KIND = kind
        cls.DISCLOSURE = Disclosure(content, encrypted, purpose)
        CATALOGUE[kind] = cls
        return cls

    return enter


@declared("refusal", content="an error sentence and its exit code", purpose="say why no answer follows")
class Refusal(Message, frozen=True):
    """The reply in place of an answer. Raised again at the other side with the same exit code."""

    code: int
    party: str
    thing: str
    remedy: str


class Malformed(ValueError):
    """The bytes are not a message of the stated kind. Holds no content."""


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
        raise Malformed(f"unknown message kind {kind[:40]!r}")
    try:
        return msgspec.msgpack.decode(body, type=CATALOGUE[kind], dec_hook=_unpack)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
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
    if name != dtype.str or not isinstance(data, bytes):
        raise Malformed("an array of another dtype than declared")
    if not all(isinstance(k, int) and k >= 0 for k in shape):
        raise Malformed("an array of impossible shape")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
