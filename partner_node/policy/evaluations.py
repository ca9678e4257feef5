"""Ids evaluated under the key of a lineage, for life and by the day: spent before the answer, a repeat is free."""

from datetime import UTC, datetime
from typing import Final

from partner_node.policy.budgets import Budgets
from protocol.contract import refuse

TABLE: Final = """
CREATE TABLE IF NOT EXISTS lineage_keys (bank TEXT, account TEXT, key BLOB NOT NULL, PRIMARY KEY (bank, account));
CREATE TABLE IF NOT EXISTS evaluations (bank TEXT, account TEXT, request BLOB, ids INTEGER NOT NULL,
    lookup INTEGER NOT NULL, day TEXT NOT NULL, PRIMARY KEY (bank, account, request));
"""


class Evaluations:
    """Of one bank and lineage, in the node's budgets."""

    def __init__(self, budgets: Budgets, party: str, bank: str, account: str) -> None:
        self._budgets, self._party, self._of = budgets, party, (bank, account)
        budgets.base.executescript(TABLE)

    def key(self, fresh: bytes) -> bytes:
        """The key of the lineage, wrapped, as it is kept; `fresh` if there is none yet."""
        base = self._budgets.base
        base.execute("INSERT OR IGNORE INTO lineage_keys VALUES (?, ?, ?)", (*self._of, fresh))
        query = "SELECT key FROM lineage_keys WHERE bank = ? AND account = ?"
        (key,) = base.execute(query, self._of).fetchone()
        return bytes(key)

    @property
    def spent(self) -> int:
        """Ids evaluated so far."""
        return self._sum("1")

    def spend(self, request: bytes, ids: int, most: int, lookup: bool, lookups: int) -> None:
        """Enter a request. most: ids for life. lookups: ids a day, where it is one. The same request again is free.

        Raises: RefusedError: more would be evaluated than was agreed.
        """
        day = datetime.now(UTC).date().isoformat()
        with self._budgets.spending():
            query = "INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?)"
            if not self._budgets.base.execute(query, (*self._of, request, ids, lookup, day)).rowcount:
                return
            if self.spent > most:
                thing = f"{self.spent - ids:,} of {most:,} ids are evaluated, and {ids:,} more are asked"
                raise refuse(self._party, "max_ids", thing, "evaluate fewer new customers, or renew the contract")
            if lookup and self._sum("lookup AND day = ?", day) > lookups:
                thing = f"more than {lookups:,} new customers are looked up today"
                raise refuse(self._party, "lookups_per_day", thing, "wait for tomorrow, or refresh with all of them")
            self._budgets.enter("evaluation", *self._of, request, ids, lookup, day)

    def _sum(self, where: str, *values: object) -> int:
        query = f"SELECT COALESCE(SUM(ids), 0) FROM evaluations WHERE bank = ? AND account = ? AND {where}"
        (ids,) = self._budgets.base.execute(query, (*self._of, *values)).fetchone()
        return int(ids)
