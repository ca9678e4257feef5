"""Versions of a table: one lineage is one account, and each file that is served under it in turn is a version of it.

Budgets are a lineage's, whatever the version. What is entered here is part of the node's books.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from partner_node.policy.budgets import Budgets

TABLE: Final = """
CREATE TABLE IF NOT EXISTS versions (account TEXT, number INTEGER, sha256 TEXT NOT NULL, rows INTEGER NOT NULL,
    changed INTEGER NOT NULL, since TEXT NOT NULL, PRIMARY KEY (account, number));
"""


@dataclass(frozen=True)
class Version:
    """One version. number: 1, 2, ... sha256: of its file. changed: rows that differ from the version before it.

    since: the day on which it was taken up.
    """

    number: int
    sha256: str
    rows: int
    changed: int
    since: str


class Versions:
    """The versions of one lineage, in the node's budgets."""

    def __init__(self, budgets: Budgets, account: str) -> None:
        self._budgets, self._account = budgets, account
        budgets.base.executescript(TABLE)

    @property
    def latest(self) -> Version | None:
        """The version entered last; None where none was."""
        query = "SELECT number, sha256, rows, changed, since FROM versions WHERE account = ? ORDER BY number DESC"
        row = self._budgets.base.execute(query, (self._account,)).fetchone()
        return Version(*row) if row else None

    def enter(self, sha256: str, rows: int, changed: int) -> Version:
        """Enter a file as the latest version; the same file again stays the version that it is."""
        with self._budgets.spending():
            before = self.latest
            if before is not None and before.sha256 == sha256:
                return before
            today = datetime.now(UTC).date().isoformat()
            made = Version(1 + (before.number if before else 0), sha256, rows, changed, today)
            values = (self._account, made.number, sha256, rows, changed, today)
            self._budgets.base.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)", values)
            self._budgets.enter("version", *values[:5])
        return made
