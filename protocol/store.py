"""What a node must not forget: SQLite files, totals that are added to once, and small values by name."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.errors import FedwarnError, UsageError

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS amounts (scope TEXT, key TEXT, amount REAL NOT NULL, PRIMARY KEY (scope, key));
CREATE TABLE IF NOT EXISTS totals (scope TEXT PRIMARY KEY, total REAL NOT NULL);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


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


class Store:
    """Totals and values of one node in one SQLite file. Thread-safe, and atomic across processes."""

    def __init__(self, path: Path, party: str) -> None:
        self._path, self._party, self._lock = path, party, threading.Lock()
        self._base = open_database(path, party, _TABLES)

    def add_once(
        self, scope: str, key: str, amount: float, limit: float = float("inf"), error: FedwarnError | None = None
    ) -> float:
        """Add an amount to a scope's total, unless this key was added before; return the total.

        Raises: `error`, or else UsageError: the limit would be passed. Nothing is added then.
        """
        with self._lock, told(self._path, self._party), self._transaction():
            total = self._total(scope)
            if self._base.execute("SELECT 1 FROM amounts WHERE scope = ? AND key = ?", (scope, key)).fetchone():
                return total
            if total + amount > limit:
                raise error or UsageError(self._party, f"the limit of {scope} would be passed", "ask for less")
            self._base.execute("INSERT INTO amounts VALUES (?, ?, ?)", (scope, key, amount))
            self._base.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", (scope, total + amount))
            return total + amount

    def total(self, scope: str) -> float:
        """The sum of what was added to a scope; 0 for an unknown one."""
        with self._lock, told(self._path, self._party):
            return self._total(scope)

    def get(self, name: str) -> bytes | None:
        """The value kept under a name."""
        with self._lock, told(self._path, self._party):
            found = self._base.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return bytes(found[0]) if found else None

    def put(self, name: str, value: bytes) -> None:
        """Keep a value under a name, in place of the old one."""
        with self._lock, told(self._path, self._party):
            self._base.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def _total(self, scope: str) -> float:
        found = self._base.execute("SELECT total FROM totals WHERE scope = ?", (scope,)).fetchone()
        return float(found[0]) if found else 0.0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")
