"""Files of a node: secrets that only their owner reads, and writes that are whole or not at all."""

import errno
import os
from pathlib import Path

from protocol.errors import UsageError
from protocol.he.streams import fresh_key


def kept_key(path: Path) -> bytes:
    """The node's secret of 32 bytes: made once from the operating system's generator, mode 0600."""
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(fresh_key())
    return path.read_bytes()


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one.

    Raises: UsageError: the disk is full, or the folder cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise disk_error(error, path) from None


def disk_error(error: OSError, path: Path) -> UsageError:
    """What an error of the disk is called in a sentence."""
    if error.errno == errno.ENOSPC:
        return UsageError("disk", f"is full while writing {path.name}", "free some space and run again")
    return UsageError("disk", f"{path.name} cannot be written ({error.strerror})", "check the folder and its rights")


def own_folder(path: Path) -> Path:
    """The folder, made if need be, for the owner's eyes only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
