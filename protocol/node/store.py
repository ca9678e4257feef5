"""SQLite files of a node: opened alike, and an error of the disk told in one sentence."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import UsageError

_NEEDED_BYTES: Final = 1 << 17
"""Of free space, for the files that SQLite keeps beside the database."""


def open_database(path: Path, party: str, tables: str, durable: bool = True) -> sqlite3.Connection:
    """A SQLite file of the owner's alone, in autocommit.

    Args:
        durable: whether a commit is on the disk when it returns (WAL, synchronous FULL: one fsync, 4 ms
            on a shared virtual disk against 0.1 ms), as budgets and approvals must be, and whether
            SQLite overwrites with zeros what is erased. Otherwise, a power cut may take the last
            commits, and never the file.

    Raises: UsageError: the file cannot be opened or written.
    """
    with told(path, party):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        safety = "synchronous = FULL; PRAGMA secure_delete = ON" if durable else "synchronous = NORMAL"
        base.executescript(f"PRAGMA journal_mode = WAL; PRAGMA {safety};" + tables)
    return base


@contextmanager
def transaction(base: sqlite3.Connection) -> Iterator[None]:
    """Commit all that is written inside, or nothing of it if anything raises.

    A COMMIT that fails (full disk) is rolled back too: an open transaction would otherwise take in
    what is spent next, and no commit of its own would follow.
    """
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise


def _no_space(path: Path) -> bool:
    """Whether too little is left for SQLite's own files: it calls that an I/O error."""
    try:
        return shutil.disk_usage(path.parent).free < _NEEDED_BYTES
    except OSError:
        return False


@contextmanager
def told(path: Path, party: str) -> Iterator[None]:
    """Turn an error of SQLite or of the file system into a sentence. Raises: UsageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or _no_space(path)
        thing = f"the disk is full while writing {path.name}" if full else f"{path.name} cannot be used ({error})"
        remedy = "free some space and run again" if full else "check the file, its folder and their rights"
        raise UsageError(party, thing, remedy) from None
