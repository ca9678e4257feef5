"""What a partner has released so far, for life: on disk, and spent before an answer is computed.

Every amount is entered once under the key of what it was spent on, so that a retry, a resumed run or a restart
spends nothing twice, and nothing is forgotten.

All is kept under an account, which a partner's operator names (`[policy] account`): one changed byte of a file begins
no new budget. Which files were served under an account is recorded with it.
"""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from protocol.algorithms.boosting import Split
from protocol.contract import refuse
from protocol.errors import ALIGN_ANEW, IntegrityError, RefusedError
from protocol.he.parameters import FLOOD_BUDGET_LOG2
from protocol.node.store import open_database

FLOOD_BUDGET: Final = 2.0**FLOOD_BUDGET_LOG2
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS files (account TEXT, sha256 TEXT, since TEXT NOT NULL, PRIMARY KEY (account, sha256));
CREATE TABLE IF NOT EXISTS seeds (seed BLOB PRIMARY KEY, matrix BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (hint BLOB, label TEXT, query BLOB NOT NULL, cost REAL NOT NULL,
    PRIMARY KEY (hint, label));
CREATE TABLE IF NOT EXISTS equations (bank TEXT, data TEXT, label TEXT, alignment TEXT NOT NULL,
    amount INTEGER NOT NULL, PRIMARY KEY (bank, data, label));
CREATE TABLE IF NOT EXISTS revealed (bank TEXT, data TEXT, binning BLOB, alignment TEXT, split TEXT, rows BLOB,
    UNIQUE (bank, data, binning, alignment, split, rows));
CREATE TABLE IF NOT EXISTS shares (bank TEXT, data TEXT, binning BLOB, share REAL NOT NULL,
    PRIMARY KEY (bank, data, binning));
CREATE TABLE IF NOT EXISTS releases (bank TEXT, alignment TEXT, label TEXT, PRIMARY KEY (bank, alignment, label));
CREATE TABLE IF NOT EXISTS pads (alignment TEXT, binning BLOB, split TEXT, pad BLOB NOT NULL,
    PRIMARY KEY (alignment, binning, split));
CREATE TABLE IF NOT EXISTS masks (members TEXT, label TEXT, vector BLOB NOT NULL, PRIMARY KEY (members, label));
"""

_ADOPT: Final = """
UPDATE OR IGNORE equations SET data = $account;
UPDATE equations SET label = label || ' ' || data, data = $account WHERE data != $account;
UPDATE OR IGNORE revealed SET data = $account;
DELETE FROM revealed WHERE data != $account;
UPDATE OR IGNORE shares SET data = $account;
UPDATE shares SET binning = CAST(data || hex(binning) AS BLOB), data = $account WHERE data != $account;
"""


class Budgets:
    """The budgets of one partner, in one SQLite file. Thread-safe."""

    def __init__(self, path: Path, party: str) -> None:
        self._party, self._lock = party, threading.Lock()
        self._base = open_database(path, party, _TABLES)
        self._flood: dict[bytes, float] = dict(self._base.execute("SELECT hint, SUM(cost) FROM answers GROUP BY hint"))

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def open_account(self, account: str, sha256: str) -> None:
        """Record that a file is served under an account. What was released before there were accounts, under the
        SHA-256 of each file, joins the first one."""
        with self._lock:
            if not self._base.execute("SELECT 1 FROM files LIMIT 1").fetchone():
                self._base.executescript("BEGIN;" + _ADOPT.replace("$account", _quoted(account)) + "COMMIT;")
            self._base.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?)", (account, sha256, _today()))

    def files(self, account: str) -> list[tuple[str, str]]:
        """The files served under an account, the first first: SHA-256, day since when."""
        with self._lock:
            return self._base.execute(
                "SELECT sha256, since FROM files WHERE account = ? ORDER BY rowid", (account,)
            ).fetchall()

    def admit_seed(self, seed: bytes, matrix: bytes) -> None:
        """A seed serves one matrix. Raises: IntegrityError for a second one."""
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO seeds VALUES (?, ?)", (seed, matrix))
            (known,) = self._base.execute("SELECT matrix FROM seeds WHERE seed = ?", (seed,)).fetchone()
        if known != matrix:
            raise IntegrityError(self._party, "was asked to use one seed for two matrices", ALIGN_ANEW)

    def admit_answer(self, hint_id: bytes, label: str, query: bytes, cost: float) -> None:
        """One query a label, and its flooding within the hint's lifetime budget; a repeat is free.

        Raises: IntegrityError, RefusedError.
        """
        with self._lock:
            row = self._base.execute(
                "SELECT query FROM answers WHERE hint = ? AND label = ?", (hint_id, label)
            ).fetchone()
            if row and row[0] != query:
                raise IntegrityError(
                    self._party, "was asked a second, different query under one label", "give the run another seed"
                )
            if row:
                return
            spent = self._flood.get(hint_id, 0.0)
            if spent + cost > FLOOD_BUDGET:
                raise RefusedError(self._party, "the flood budget of its hint is spent", "align again for a new hint")
            self._base.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (hint_id, label, query, cost))
            self._flood[hint_id] = spent + cost

    def admit_mask(self, members: str, label: str, vector: bytes) -> None:
        """One vector (its digest) a label of masks; a repeat is free. Raises: IntegrityError for a second one."""
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO masks VALUES (?, ?, ?)", (members, label, vector))
            query = "SELECT vector FROM masks WHERE members = ? AND label = ?"
            (known,) = self._base.execute(query, (members, label)).fetchone()
        if known != vector:
            raise IntegrityError(
                self._party, "was asked to hide a second, different vector of scores under one mask",
                "give the run another seed",
            )  # fmt: skip

    def flood_spent(self, hint_id: bytes) -> float:
        """Of the hint's flood budget, in the units of `FLOOD_BUDGET`."""
        return self._flood.get(hint_id, 0.0)

    def equations(self, bank: str, data: str, prefix: str = "") -> int:
        """Sums released to a bank on a table, all or under labels that begin with `prefix`."""
        with self._lock:
            return self._under(bank, data, prefix)

    def _under(self, bank: str, data: str, prefix: str) -> int:
        query = "SELECT COALESCE(SUM(amount), 0) FROM equations WHERE bank = ? AND data = ? AND substr(label, 1, ?) = ?"
        (total,) = self._base.execute(query, (bank, data, len(prefix), prefix)).fetchone()
        return int(total)

    def spend_equations(
        self, bank: str, data: str, alignment: str, labels: Iterable[str], each: int, limit: int | None,
        job: str = "", approved: int | None = None,
    ) -> None:  # fmt: skip
        """Enter sums before they are released. approved: of the job, as its approved file plans them.

        Raises: RefusedError: a limit would be passed. IntegrityError: a label was used under another alignment,
        in whose order of rows the same noise would hide another query.
        """
        with self._lock:
            known = "SELECT alignment FROM equations WHERE bank = ? AND data = ? AND label = ?"
            used = {label: self._base.execute(known, (bank, data, label)).fetchone() for label in labels}
            if any(row and row[0] != alignment for row in used.values()):
                raise IntegrityError(
                    self._party, "was asked under a label of another alignment or file", "give the run another seed"
                )
            new = [label for label, row in used.items() if row is None]
            if not new:
                return
            total = "SELECT COALESCE(SUM(amount), 0) FROM equations WHERE bank = ? AND data = ?"
            (spent,) = self._base.execute(total, (bank, data)).fetchone()
            if limit is not None and spent + each * len(new) > limit:
                raise refuse(
                    self._party, "max_equations_share", f"{spent} of {limit} equations are released for life",
                    "train fewer or shallower trees",
                )  # fmt: skip
            if approved is not None and self._under(bank, data, f"{job}/") + each * len(new) > approved:
                raise refuse(
                    self._party, "approve", f"the job's approved file plans {approved} equations, and more are asked",
                    "run the job as it was approved",
                )  # fmt: skip
            self._base.execute("BEGIN")
            self._base.executemany(
                "INSERT INTO equations VALUES (?, ?, ?, ?, ?)", [(bank, data, label, alignment, each) for label in new]
            )
            self._base.execute("COMMIT")

    def spend_release(self, bank: str, alignment: str, label: str, limit: int) -> None:
        """Enter a vector that scores are made of before it is released; the same one again is free.

        Raises: RefusedError: the limit of the alignment would be passed.
        """
        with self._lock:
            query = "SELECT label FROM releases WHERE bank = ? AND alignment = ?"
            released = {row[0] for row in self._base.execute(query, (bank, alignment))}
            if label in released:
                return
            if len(released) + 1 > limit:
                raise refuse(
                    self._party, "score_releases", f"{len(released)} of {limit} releases on this alignment are spent",
                    "score by a model used before, or agree on more releases",
                )  # fmt: skip
            self._base.execute("INSERT INTO releases VALUES (?, ?, ?)", (bank, alignment, label))

    def reveal(self, bank: str, data: str, binning: bytes, alignment: str, split: Split, rows: bytes) -> None:
        """Enter a split before its bits are released. rows: of the node, b"" for all."""
        values = (bank, data, binning, alignment, msgspec.json.encode(split).decode(), rows)
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO revealed VALUES (?, ?, ?, ?, ?, ?)", values)

    def pad_of(self, alignment: str, binning: bytes, split: Split, fresh: bytes) -> bytes:
        """The pad under which a split's bits are sealed, for life: `fresh` if it has none yet."""
        values = (alignment, binning, msgspec.json.encode(split).decode())
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO pads VALUES (?, ?, ?, ?)", (*values, fresh))
            query = "SELECT pad FROM pads WHERE alignment = ? AND binning = ? AND split = ?"
            (pad,) = self._base.execute(query, values).fetchone()
        return bytes(pad)

    def revealed(self, bank: str, data: str, binning: bytes, alignment: str | None) -> list[tuple[Split, bytes]]:
        """Splits released, in order, with the rows they were released for; of one alignment, or of all."""
        query = "SELECT split, rows FROM revealed WHERE bank = ? AND data = ? AND binning = ?"
        values: tuple[object, ...] = (bank, data, binning)
        if alignment is not None:
            query, values = query + " AND alignment = ?", (*values, alignment)
        with self._lock:
            found = self._base.execute(query + " ORDER BY rowid", values).fetchall()
        return [(msgspec.json.decode(split, type=Split), rows) for split, rows in found]

    def set_share(self, bank: str, data: str, binning: bytes, share: float) -> None:
        """Keep the information share of one binning."""
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?)", (bank, data, binning, share))

    def other_shares(self, bank: str, data: str, binning: bytes) -> float:
        """Shares spent on other binnings of the same table: what one tells may add to what another tells."""
        query = "SELECT COALESCE(SUM(share), 0) FROM shares WHERE bank = ? AND data = ? AND binning != ?"
        with self._lock:
            (total,) = self._base.execute(query, (bank, data, binning)).fetchone()
        return float(total)


def _quoted(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
