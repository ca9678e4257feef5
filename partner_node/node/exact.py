"""Exact sums (bin tables, regressions) are answered on one version of a lineage.

The same sums of two versions differ by the rows that changed alone, exactly: of few rows that is their content. So
another version is answered only where at least 1,000 rows and 5% of them differ from every version that was.
"""

from typing import Final

from partner_node.node.holdings import Holdings
from partner_node.node.publishing import states_file
from partner_node.store.row_states import load_states
from protocol.contract import refuse

LEAST_ROWS: Final = 1000
LEAST_SHARE: Final = 0.05
RULE: Final = "versions"
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS exact (bank TEXT, account TEXT, sha256 TEXT, UNIQUE (bank, account, sha256))"
)


def require_exact(own: Holdings) -> None:
    """Enter the table's version as one of which exact sums are told, before they are.

    Raises: RefusedError: it differs in too few rows from another version of which they were.
    """
    of, sha256 = (own.config.bank, own.config.policy.account), own.table.sha256
    with own.budgets.spending():
        own.budgets.base.execute(_TABLE)
        query = "SELECT sha256 FROM exact WHERE bank = ? AND account = ?"
        told = [row[0] for row in own.budgets.base.execute(query, of)]
        if sha256 in told:
            return
        for before in told:
            _require_apart(own, before)
        own.budgets.base.execute("INSERT INTO exact VALUES (?, ?, ?)", (*of, sha256))
        own.budgets.enter("exact", *of, sha256)


def _require_apart(own: Holdings, before: str) -> None:
    then, now = (load_states(states_file(own.config, sha256)) for sha256 in (before, own.table.sha256))
    least = max(LEAST_ROWS, int(LEAST_SHARE * own.table.rows))
    changed = now.changed(then) if then is not None and now is not None else 0
    if changed < least:
        thing = f"exact sums were told of a version that differs in {changed:,} rows, and {least:,} are the least"
        raise refuse(own.config.party, RULE, thing, "refit on the sums that are known, or wait for a later version")
