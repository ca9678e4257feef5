"""Refreshes: splits that are known, told again on a newer version of the table.

Information is a resolution: a split counts where it is first told. On a newer version it tells nothing but what has
changed since, and that is counted here, apart: one of `refreshes` a version, and `told_anew` in bits a row.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from partner_node.policy.budgets import Budgets
from protocol.contract import Contract, refuse

TABLE: Final = """
CREATE TABLE IF NOT EXISTS refreshes (bank TEXT, account TEXT, sha256 TEXT, since TEXT NOT NULL,
    PRIMARY KEY (bank, account, sha256));
CREATE TABLE IF NOT EXISTS told_anew (bank TEXT, account TEXT, sha256 TEXT, split TEXT, bits REAL NOT NULL,
    since TEXT NOT NULL, PRIMARY KEY (bank, account, sha256, split));
"""
YEAR: Final = timedelta(days=365)


class Refreshes:
    """What one bank was told anew of one lineage, in the node's budgets."""

    def __init__(self, budgets: Budgets, party: str, bank: str, account: str) -> None:
        self._budgets, self._party, self._of = budgets, party, (bank, account)
        budgets.base.executescript(TABLE)

    @property
    def spent(self) -> int:
        """Versions told so far."""
        query = "SELECT COUNT(*) FROM refreshes WHERE bank = ? AND account = ?"
        (count,) = self._budgets.base.execute(query, self._of).fetchone()
        return int(count)

    @property
    def told_anew(self) -> float:
        """Bits a row that were told anew within a year."""
        query = "SELECT COALESCE(SUM(bits), 0) FROM told_anew WHERE bank = ? AND account = ? AND since > ?"
        since = (datetime.now(UTC) - YEAR).isoformat(timespec="seconds")
        (bits,) = self._budgets.base.execute(query, (*self._of, since)).fetchone()
        return float(bits)

    def spend(self, sha256: str, bits: Mapping[str, float], contract: Contract) -> None:
        """Enter what a version tells anew of splits, before it is told; what was entered before is free.

        Args:
            sha256: of the version.
            bits: a row, by split.

        Raises: RefusedError: no refresh is left, or more would be told within a year than the contract admits.
        """
        with self._budgets.spending():
            self._spend_version(sha256, contract.refreshes)
            self.enter(sha256, bits)
            if self.told_anew > contract.max_told_anew:
                thing = f"{self.told_anew:.3g} bits a row would be told anew within a year"
                raise refuse(self._party, "max_told_anew", thing, "score by the bits of the last refresh")

    def enter(self, sha256: str, bits: Mapping[str, float]) -> None:
        """Enter what is told anew, whatever the limit."""
        now, base = datetime.now(UTC).isoformat(timespec="seconds"), self._budgets.base
        with self._budgets.spending():
            for split, amount in bits.items():
                values = (*self._of, sha256, split, amount, now)
                if base.execute("INSERT OR IGNORE INTO told_anew VALUES (?, ?, ?, ?, ?, ?)", values).rowcount:
                    self._budgets.enter("told anew", *values[:5])

    def _spend_version(self, sha256: str, most: int) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        query = "INSERT OR IGNORE INTO refreshes VALUES (?, ?, ?, ?)"
        if not self._budgets.base.execute(query, (*self._of, sha256, now)).rowcount:
            return
        if self.spent > most:
            thing = f"{most} of {most} refreshes are spent"
            raise refuse(
                self._party, "refreshes", thing, "score by the bits of the last refresh, or renew the contract"
            )
        self._budgets.enter("refresh", *self._of, sha256)
