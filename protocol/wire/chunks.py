"""Envelopes in chunks of 1 MiB: a hint of 300 MB passes under a message limit of 2."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from protocol.messages import Malformed, require_size
from protocol.wire.envelope import Envelope
from protocol.wire.exchange_pb2 import Chunk

CHUNK_BYTES: Final = 1 << 20


class Unread(Malformed):
    """An envelope that was refused before its end. head: what it says it is, without a body."""

    def __init__(self, head: Envelope, error: Malformed) -> None:
        super().__init__(*error.args, rule=error.rule)
        self.head = head


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
    """The envelope in these chunks.

    Args:
        most_bytes: of a body, by its kind; asked before more than the head is read.
    Raises:
        Unread: no chunk, a head that is too long, cannot be shown or is not first, a body longer or
            shorter than declared, or longer than its kind may be.
    """
    stream = iter(chunks)
    first = next(stream, Chunk())
    head = Envelope(first.session, first.sequence, first.kind, b"")
    try:
        if head.fault:
            raise Malformed(head.fault)
        require_size(head.kind, first.size, most_bytes(head.kind))
        return Envelope(head.session, head.sequence, head.kind, _body(first, stream))
    except Malformed as error:
        raise Unread(head, error) from None


def _body(first: Chunk, rest: Iterable[Chunk]) -> bytes:
    """The parts of all chunks. Raises: Malformed: they are more or fewer bytes than the first says."""
    parts, size = [first.part], len(first.part)
    for chunk in rest:
        size += len(chunk.part)
        if chunk.session or chunk.kind or chunk.sequence or chunk.size or not chunk.part or size > first.size:
            raise Malformed("a chunk out of place")
        parts.append(chunk.part)
    if size != first.size:
        raise Malformed("an envelope that is longer or shorter than it says")
    return parts[0] if len(parts) == 1 else b"".join(parts)
