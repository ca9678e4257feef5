"""Texts in a library's own format: of one length whatever its compression makes of them, and as 64-bit words.

Two runs of one job send as many bytes: a text is padded to a round length, or to the most that it may take.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from protocol.errors import IntegrityError
from protocol.messages import U8, U64

_WORD: Final = 8
_ROUND: Final = 4096


def padded(text: bytes, size: int = 0) -> bytes:
    """The text's length, the text, and zeros up to `size`, or to a multiple of 4096 bytes."""
    whole = size or -(-(_WORD + len(text)) // _ROUND) * _ROUND
    return (len(text).to_bytes(_WORD, "little") + text).ljust(whole, b"\0")


def unpadded(text: bytes) -> bytes:
    """The text of `padded`. Raises: ValueError: it is shorter than it says."""
    length = int.from_bytes(text[:_WORD], "little")
    if len(text) < _WORD + length:
        raise ValueError("a text that is cut off")
    return text[_WORD : _WORD + length]


def to_words(texts: Sequence[bytes]) -> U64:
    """Padded texts, one a line: shape (texts, words of the longest)."""
    words = max((-(-len(text) // _WORD) for text in texts), default=0)
    lines = np.zeros((len(texts), words), dtype="<u8")
    for line, text in zip(lines, texts, strict=True):
        line.view(np.uint8)[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    return lines


def from_words(lines: U64) -> list[bytes]:
    """The padded texts of `to_words`."""
    return [line.astype("<u8").tobytes() for line in np.atleast_2d(lines)]


def words_of(octets: U8, party: str) -> U64:
    """An answer that was sent as octets, as lines of words. Raises: IntegrityError: these are no lines of words."""
    if octets.ndim != 2 or octets.shape[1] % _WORD:
        raise IntegrityError(party, "answered what is no ciphertext", "run the same version on both sides")
    words: U64 = np.ascontiguousarray(octets).view("<u8")
    return words


def through_file(write: Callable[[str], object]) -> bytes:
    """What a library writes to a file whose path it is given, for libraries that write to nothing else."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "written"
        write(str(path))
        return path.read_bytes()


def from_file(text: bytes, read: Callable[[str], object]) -> None:
    """Have a library read a text from a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "read"
        path.write_bytes(text)
        read(str(path))
