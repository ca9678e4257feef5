"""The journal of a training: every reply, so that an interrupted run goes on where it stopped, bit for bit.

The script and the bank's keys are deterministic: on resume the same requests arise in the same order. As long as
they do, the replies are taken from the journal; from the first request that it does not hold, or that differs, the
partners are asked again.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from protocol.he.streams import digest
from protocol.messages import Message, decode, encode
from protocol.role import Exchange, Replies, Requests

Observer = Callable[[str, Message, int, Message, int], None]
"""Told of each exchange with a party: its name, the request and its size in bytes, the reply and its size."""


class _Entry(msgspec.Struct, frozen=True):
    """One exchange. asked: digest of the request. replies: (kind, body). Each by party."""

    asked: dict[str, bytes]
    replies: dict[str, tuple[str, bytes]]


class Journal:
    """Wraps an exchange. path: one file, appended to. observe: is told of replayed exchanges too."""

    def __init__(self, path: Path, exchange: Exchange, observe: Observer) -> None:
        self._exchange, self._observe = exchange, observe
        path.touch(mode=0o600)
        self._entries, end = _read(path)
        self._file: BinaryIO = path.open("r+b")
        self._file.truncate(end)
        self._file.seek(0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __call__(self, requests: Requests) -> Replies:
        """The replies, from the journal or from the partners."""
        bodies = {party: encode(message) for party, message in requests.items()}
        asked = {p: digest(requests[p].KIND.encode(), body) for p, body in bodies.items()}
        entry = self._next(asked)
        if entry is None:
            replies = self._exchange(requests)
            entry = _Entry(asked, {party: (reply.KIND, encode(reply)) for party, reply in replies.items()})
            self._append(entry)
        else:
            replies = {party: decode(kind, body) for party, (kind, body) in entry.replies.items()}
        for party, request in requests.items():
            self._observe(party, request, len(bodies[party]), replies[party], len(entry.replies[party][1]))
        return replies

    def _next(self, asked: dict[str, bytes]) -> _Entry | None:
        """The entry of these requests, if it is the next one and holds no refusal."""
        if not self._entries:
            return None
        raw, entry = self._entries.pop(0)
        if entry.asked != asked or any(kind == "refusal" for kind, _ in entry.replies.values()):
            self._file.truncate()
            self._entries.clear()
            return None
        self._file.seek(len(raw), 1)
        return entry

    def _append(self, entry: _Entry) -> None:
        raw = msgspec.msgpack.encode(entry)
        self._file.write(struct.pack("<Q", len(raw)) + raw)
        self._file.flush()


def _read(path: Path) -> tuple[list[tuple[bytes, _Entry]], int]:
    """The whole entries of a file, and where they end: the last may have been cut off."""
    raw, at, entries = path.read_bytes(), 0, []
    while at + 8 <= len(raw):
        (size,) = struct.unpack_from("<Q", raw, at)
        if at + 8 + size > len(raw):
            break
        body = raw[at + 8 : at + 8 + size]
        entries.append((raw[at : at + 8 + size], msgspec.msgpack.decode(body, type=_Entry)))
        at += 8 + size
    return entries, at
