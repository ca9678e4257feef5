"""The prime-order group of the alignment: ristretto255 (RFC 9496), from libsodium through `rbcl`.

Points are rows of an array, shape (n, 32), uint8, in the canonical encoding; scalars are 32 bytes, little-endian,
reduced mod the group order. libsodium is called by address on whole arrays: a Python object a point would cost
more than it says, and the interpreter's lock is free during each call, so that threads use all cores.
"""

import ctypes
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import rbcl

from protocol.messages import U8

POINT_BYTES: Final = 32
SCALAR_BYTES: Final = 32
TAG_BYTES: Final = 16
ROW_KEY_BYTES: Final = 32
ROW_BYTES: Final = TAG_BYTES + ROW_KEY_BYTES
DOMAIN: Final = b"fedwarn.v1 id\0"
"""Precedes an id before it is hashed, so that no other use of the hash meets it."""
_ROW: Final = b"fedwarn.v1 row"
_PIECE: Final = 256
"""Points a task: about 13 ms, so that tasks of several parties take turns."""

_loaded: Final = rbcl._sodium
_sodium: Final = ctypes.CDLL(_loaded._name, handle=_loaded._handle)
"""A view of our own on the library that rbcl has loaded, so that its declarations stay as they are."""
_multiply: Final = _sodium.crypto_scalarmult_ristretto255
_from_hash: Final = _sodium.crypto_core_ristretto255_from_hash
_multiply.argtypes = [ctypes.c_void_p] * 3
_from_hash.argtypes = [ctypes.c_void_p] * 2


class NotAPoint(ValueError):
    """An encoding that is not canonical, or the identity. Holds no content."""


def random_scalar() -> bytes:
    """A uniform scalar other than zero, from the operating system's generator."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_random())


def inverse(scalar: bytes) -> bytes:
    """1 / scalar, mod the group order."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_invert(scalar))


def hash_to_group(ids: Sequence[bytes]) -> U8:
    """Points whose logarithm nobody knows: from_hash(SHA-512(DOMAIN || id)), shape (n, 32).

    from_hash is the one-way map of RFC 9496, 4.3.4.
    """
    out = np.empty((len(ids), POINT_BYTES), dtype=np.uint8)
    target = out.ctypes.data
    for value in ids:
        _from_hash(target, hashlib.sha512(DOMAIN + value).digest())
        target += POINT_BYTES
    return out


def raised(points: U8, scalar: bytes) -> U8:
    """scalar times each point, shape (n, 32), on all cores. Raises: NotAPoint."""
    return start(partial(multiply, scalar=scalar), points, urgent=True).result()


def hash_and_multiply(ids: Sequence[bytes], scalar: bytes) -> U8:
    """scalar times the point of each id, shape (n, 32), on one core."""
    return multiply(hash_to_group(ids), scalar)


def multiply(points: U8, scalar: bytes) -> U8:
    """scalar times each point, shape (n, 32), on one core, in constant time.

    Raises: NotAPoint: an encoding is not canonical, or the identity (libsodium refuses both in this call).
    """
    points = _contiguous(points)
    out = np.empty_like(points)
    secret = ctypes.create_string_buffer(scalar, SCALAR_BYTES)
    source, target, by = points.ctypes.data, out.ctypes.data, ctypes.addressof(secret)
    for offset in range(0, points.size, POINT_BYTES):
        if _multiply(target + offset, by, source + offset):
            raise NotAPoint("not a point of the group, or the identity")
    return out


def row_secrets(points: U8) -> U8:
    """What a twice-blinded point makes of a row: its tag, 16 bytes, then its key, 32 bytes; shape (n, 48).

    BLAKE2b-384 of the point with a person string. Its output bytes are independent of each other in the random-oracle
    model, so a tag that is sent tells nothing of the key. One call takes 0.7 microseconds; HKDF-SHA256 takes 15.
    """
    flat = _contiguous(points).tobytes()
    made = [
        hashlib.blake2b(flat[at : at + POINT_BYTES], digest_size=ROW_BYTES, person=_ROW).digest()
        for at in range(0, len(flat), POINT_BYTES)
    ]
    return np.frombuffer(b"".join(made), dtype=np.uint8).reshape(-1, ROW_BYTES)


def secrets_of_ids(ids: Sequence[bytes], scalar: bytes) -> U8:
    """Tag and key of the point of each id times the scalar, shape (n, 48), on one core."""
    return row_secrets(hash_and_multiply(ids, scalar))


def secrets_of_points(points: U8, scalar: bytes) -> U8:
    """Tag and key of each point times the scalar, shape (n, 48), on one core. Raises: NotAPoint."""
    return row_secrets(multiply(points, scalar))


def as_keys(values: U8) -> list[bytes]:
    """Each row of bytes as bytes, to be looked up."""
    flat, width = np.ascontiguousarray(values).tobytes(), values.shape[1]
    return [flat[at : at + width] for at in range(0, len(flat), width)]


@dataclass(frozen=True)
class Pending:
    """Points, or what is made of them, under computation, in pieces."""

    pieces: list[Future[U8]]

    def result(self, first: int = 0, count: int | None = None) -> U8:
        """These of them, shape (count, width), when they are done; to the end if `count` is None.

        Raises what the computation raised.
        """
        if count is None:
            count = len(self.pieces) * _PIECE - first
        skipped = first // _PIECE
        wanted = self.pieces[skipped : -(-(first + count) // _PIECE)]
        done = [piece.result() for piece in wanted] or [np.empty((0, POINT_BYTES), dtype=np.uint8)]
        begin = first - skipped * _PIECE
        return np.concatenate(done)[begin : begin + count]

    def cancel(self) -> None:
        """Drop what has not begun."""
        for piece in self.pieces:
            piece.cancel()


def start(kernel: Callable[[Any], U8], items: Any, *, urgent: bool = False) -> Pending:
    """Run a kernel over slices of `items`, on all cores, in the background.

    urgent: a peer waits for it; it shares the cores with other work, and does not queue behind it.
    """
    pool = _threads(os.getpid(), urgent)
    return Pending([pool.submit(kernel, items[at : at + _PIECE]) for at in range(0, len(items), _PIECE)])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _threads(pid: int, urgent: bool) -> ThreadPoolExecutor:
    """The process's threads; keyed by process, since a fork inherits none."""
    return ThreadPoolExecutor(cores(), thread_name_prefix=f"group-{pid}-{'urgent' if urgent else 'background'}")


def _contiguous(points: U8) -> U8:
    if points.ndim != 2 or points.shape[1] != POINT_BYTES or points.dtype != np.uint8:
        raise NotAPoint("not an array of encoded points")
    return np.ascontiguousarray(points)


# rbcl unpacks libsodium into a temporary file at import and leaves it there; once loaded, it is no longer needed.
Path(_loaded._name).unlink(missing_ok=True)
