"""Envelopes in chunks of 1 MiB: a hint of 300 MB passes under a message limit of 2."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from protocol.fields import printable
from protocol.messages import Malformed
from protocol.wire.envelope import Envelope
from protocol.wire.exchange_pb2 import Chunk

CHUNK_BYTES: Final = 1 << 20
_LONGEST_NAME: Final = 64


def split(envelope: Envelope) -> Iterator[Chunk]:
    """The chunks of an envelope. The first one has the head and, like all but the last, `CHUNK_BYTES` of the body."""
    view = memoryview(envelope.body)
    yield Chunk(
        session=envelope.session,
        sequence=envelope.sequence,
        kind=envelope.kind,
        size=len(view),
        part=bytes(view[:CHUNK_BYTES]),
    )
    for start in range(CHUNK_BYTES, len(view), CHUNK_BYTES):
        yield Chunk(part=bytes(view[start : start + CHUNK_BYTES]))


def join(chunks: Iterable[Chunk], most_bytes: Callable[[str], int]) -> Envelope:
    """The envelope in these chunks. most_bytes: of a body, by its kind, known before more than a head is read.

    Raises: Malformed: no chunk, a head that is too long, cannot be shown or is not first, a body longer or shorter than
        declared, or longer than its kind may be.
    """
    stream = iter(chunks)
    head = next(stream, None)
    if head is None or not 0 < len(head.session) <= _LONGEST_NAME or not 0 < len(head.kind) <= _LONGEST_NAME:
        raise Malformed("an envelope without a head")
    if not (printable(head.session) and printable(head.kind)):
        raise Malformed("an envelope whose head cannot be shown")
    most = most_bytes(head.kind)
    if head.size > most:
        raise Malformed(f"a {head.kind} of {head.size} bytes, where {most} are the most")
    parts, size = [head.part], len(head.part)
    for chunk in stream:
        size += len(chunk.part)
        if chunk.session or chunk.kind or chunk.sequence or chunk.size or not chunk.part or size > head.size:
            raise Malformed("a chunk out of place")
        parts.append(chunk.part)
    if size != head.size:
        raise Malformed("an envelope that is longer or shorter than it says")
    return Envelope(head.session, head.sequence, head.kind, parts[0] if len(parts) == 1 else b"".join(parts))
