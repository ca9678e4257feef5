from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Chunk(_message.Message):
    __slots__ = ("session", "sequence", "kind", "size", "part")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    session: str
    sequence: int
    kind: str
    size: int
    part: bytes
    def __init__(self, session: _Optional[str] = ..., sequence: _Optional[int] = ..., kind: _Optional[str] = ..., size: _Optional[int] = ..., part: _Optional[bytes] = ...) -> None: ...
