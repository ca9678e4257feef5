"""Files of a node: secrets that only their owner reads, and writes that are whole or not at all."""

import errno
import hashlib
import os
import re
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, TextIO

import duckdb
import numpy as np

from protocol.errors import IntegrityError, UsageError

KEY_BYTES: Final = 32
_READING: Final = threading.RLock()
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space on the disk, none left in a quota, or a file past the largest size allowed."""


def kept_key(path: Path) -> bytes:
    """The node's secret of 32 bytes: made once from the operating system's generator, mode 0600.

    Raises: UsageError: the file holds no whole key; an empty one would make every key guessable.
    """
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        thing = f"{path.name} holds {len(key)} bytes, and a key has {KEY_BYTES}"
        raise UsageError("disk", thing, "put the right file back, or remove it if it was never used")
    return key


def write_whole(path: Path, content: bytes, mode: int = 0o600, durable: bool = False) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one.

    durable: also after a power cut, the new content is there once this function returns.
    Raises: UsageError: the disk is full, or the folder cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise disk_error(error, path) from None


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk: without it, a power cut may undo a file's creation or replacement."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing_whole(path: Path, mode: int = 0o644) -> Iterator[TextIO]:
    """A text file that is written bit by bit, and is there whole at the end or not at all.

    Raises: UsageError: the disk is full, or the folder cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        raise disk_error(error, path) from None
    finally:
        beside.unlink(missing_ok=True)


def disk_error(error: OSError, path: Path) -> UsageError:
    """What an error of the disk is called in a sentence."""
    if error.errno in _FULL:
        return UsageError("disk", f"it is full while writing {path.name or 'a file'}", "free some space and run again")
    thing = f"{path.name or 'a file'} cannot be used ({error.strerror or type(error).__name__})"
    return UsageError("disk", thing, "check the folder and its rights")


@contextmanager
def machine_told(party: str) -> Iterator[None]:
    """Turn what this machine lacks, disk or memory, into a sentence. Raises: UsageError."""
    try:
        yield
    except (sqlite3.Error, duckdb.IOException) as error:
        thing = f"a file cannot be used ({str(error).splitlines()[0][:160]})"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or os.strerror(errno.ENOSPC) in str(error):
            thing = "the disk is full"
        raise UsageError(party, thing, "free some space, check the folder and its rights, and run again") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise disk_error(error, Path(error.filename or "")) from None
    except (MemoryError, duckdb.OutOfMemoryException):
        raise UsageError(party, "the memory of this machine is full", "give it more, or train on fewer rows") from None


@contextmanager
def opened_arrays(path: Path) -> Iterator[Any]:
    """The arrays of an .npz file, by name, for one thread at a time.

    NumPy reads headers as Python literals, and CPython 3.11 counts the depth of what it parses once a process
    (gh-106905): two threads that parse at once can fail each other by a SystemError.
    """
    with _READING, np.load(path, allow_pickle=False) as found:
        yield found


def own_folder(path: Path) -> Path:
    """The folder, made if need be, for the owner's eyes only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def file_named(folder: Path, name: str, ending: str, party: str) -> Path:
    """The file of what a peer names by a digest; no other name becomes a path. party: who names it.

    Raises: IntegrityError: the name is no digest.
    """
    if not _DIGEST.fullmatch(name):
        raise IntegrityError(
            party, "names something by what is no SHA-256 digest", "run the same version on both sides"
        )
    return own_folder(folder) / f"{name}{ending}"


def folder_name(party: str) -> str:
    """A folder's name for a party of any name: its letters and digits, and a hash if that leaves something out."""
    plain = unicodedata.normalize("NFKD", party).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower()
    return slug if slug == party else f"{slug or 'party'}-{hashlib.sha256(party.encode()).hexdigest()[:12]}"
