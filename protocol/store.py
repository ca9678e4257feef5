"""SQLite files of a node: opened alike, and an error of the disk told in one sentence."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.errors import UsageError


def open_database(path: Path, party: str, tables: str) -> sqlite3.Connection:
    """A SQLite file of the owner's alone, in autocommit, that survives the death of its process.

    A power cut may take the last moments with it (WAL, synchronous NORMAL), never the file.

    Raises: UsageError: it cannot be opened or written.
    """
    with told(path, party):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        base.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + tables)
    return base


@contextmanager
def told(path: Path, party: str) -> Iterator[None]:
    """Turn an error of SQLite or of the file system into a sentence. Raises: UsageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        thing = f"the disk is full while writing {path.name}" if full else f"{path.name} cannot be used ({error})"
        remedy = "free some space and run again" if full else "check the file, its folder and their rights"
        raise UsageError(party, thing, remedy) from None
