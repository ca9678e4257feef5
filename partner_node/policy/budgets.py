"""What a partner has released so far, for life: on disk, and spent before an answer is computed.

Everything that is asked has a label, and a label is answered once for each bank and account, whatever hint, layout or
alignment it is asked under: the same request again is free and gets the same answer, another one under its label is
refused. What one request spends is committed in one transaction, or not at all: a refused request burns no label.

All is kept under an account, which a partner's operator names (`[policy] account`): one changed byte of a file begins
no new budget. Which files were served under an account is recorded with it.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from partner_node.policy.readable import Bits
from protocol.algorithms.boosting import Split
from protocol.algorithms.runs import Kind, subject_of
from protocol.contract import refuse
from protocol.errors import ALIGN_ANEW, IntegrityError, RefusedError
from protocol.he.parameters import FLOOD_BUDGET_LOG2
from protocol.he.streams import KEY_BYTES, digest
from protocol.node.books import EPOCH, Books
from protocol.node.books import TABLE as BOOKS
from protocol.node.keys import Keeper
from protocol.node.store import open_database, transaction

FLOOD_BUDGET: Final = 2.0**FLOOD_BUDGET_LOG2
RUNS_AN_EPOCH: Final = 1 << 16
"""Numbers of runs that one epoch of the books has room for: the runs of a recovered node are numbered above them."""
OF_KIND: Final[Mapping[str, str]] = {
    "sums": "of boosted trees", "counts": "of bin tables", "cross": "of linear models",
}  # fmt: skip
"""What equations under a kind of label are for, in words."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS files (account TEXT, sha256 TEXT, since TEXT NOT NULL, PRIMARY KEY (account, sha256));
CREATE TABLE IF NOT EXISTS seeds (seed BLOB PRIMARY KEY, matrix BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS runs (bank TEXT, account TEXT, job TEXT, run INTEGER, nonce BLOB NOT NULL,
    epoch BLOB NOT NULL, opened TEXT NOT NULL, PRIMARY KEY (bank, account, job, run),
    UNIQUE (bank, account, job, nonce));
CREATE TABLE IF NOT EXISTS labels (bank TEXT, account TEXT, label TEXT, job TEXT NOT NULL, run INTEGER NOT NULL,
    request BLOB NOT NULL, alignment TEXT NOT NULL, equations INTEGER NOT NULL, PRIMARY KEY (bank, account, label));
CREATE TABLE IF NOT EXISTS flood (hint BLOB PRIMARY KEY, cost REAL NOT NULL);
CREATE TABLE IF NOT EXISTS revealed (bank TEXT, data TEXT, binning BLOB, alignment TEXT, split TEXT, rows BLOB,
    UNIQUE (bank, data, binning, alignment, split, rows));
CREATE TABLE IF NOT EXISTS shares (bank TEXT, data TEXT, binning BLOB, share REAL NOT NULL,
    PRIMARY KEY (bank, data, binning));
CREATE TABLE IF NOT EXISTS releases (bank TEXT, alignment TEXT, label TEXT, PRIMARY KEY (bank, alignment, label));
CREATE TABLE IF NOT EXISTS pads (alignment TEXT, binning BLOB, split TEXT, pad BLOB NOT NULL,
    PRIMARY KEY (alignment, binning, split));
CREATE TABLE IF NOT EXISTS masks (members TEXT, label TEXT, vector BLOB NOT NULL, PRIMARY KEY (members, label));
CREATE TABLE IF NOT EXISTS bits (bank TEXT, account TEXT, columns TEXT, pooled INTEGER, amount REAL NOT NULL,
    PRIMARY KEY (bank, account, columns, pooled));
CREATE TABLE IF NOT EXISTS encodings (bank TEXT, account TEXT, place TEXT, value BLOB NOT NULL,
    PRIMARY KEY (bank, account, place));
"""


@dataclass(frozen=True)
class Run:
    """One run of a job at this partner.

    number: 1, 2, ...; after a recovery, above `RUNS_AN_EPOCH`. epoch: key of its noise, kept as long as it may go on.
    nonce: by which the bank opened it, at all of the run's partners alike.
    """

    job: str
    number: int
    epoch: bytes
    nonce: bytes

    @property
    def subject(self) -> str:
        """What masks of this run are agreed on for, at all of its partners alike."""
        return subject_of(self.job, self.nonce)

    def __repr__(self) -> str:
        return f"Run({self.job[:12]}, {self.number})"


@dataclass(frozen=True)
class Asked:
    """One question: its label with its kind, and what answering it spends.

    request: names the question with all that its answer depends on. equations: sums a row.
    """

    kind: str
    label: str
    request: bytes
    equations: int


@dataclass(frozen=True)
class Allowance:
    """What a request may still spend.

    limit: equations for life, None if only counted. approved: of the run, by kind of label; None where no file was
    approved.
    """

    limit: int | None
    approved: Mapping[str, int] | None


class Budgets:
    """The budgets of one partner, in one SQLite file. Thread-safe."""

    def __init__(
        self, path: Path, party: str, key: bytes = bytes(KEY_BYTES), anchor: Path | None = None,
        keeper: Keeper | None = None, lost: bool = False,
    ) -> None:  # fmt: skip
        """Open the file, and the node's books in it.

        Args:
            key: the node's secret, by which its books are signed.
            anchor: as in `Books`.
            keeper: wraps noise epochs; None leaves them as they are.
            lost: as in `Books`.
        """
        self._party, self._lock, self._keeper = party, threading.RLock(), keeper
        self._base = open_database(path, party, _TABLES + BOOKS)
        self.books = Books(self._base, party, key, anchor, lost)
        self._entered: list[bytes] = []

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def spending(self) -> Iterator[None]:
        """One transaction: what is spent inside is on disk when it ends, or nothing is if it raises."""
        with self._lock:
            if self._base.in_transaction:
                yield
                return
            self._entered = []
            with transaction(self._base):
                yield
                if self._entered:
                    self.books.advance(digest(*self._entered))
            if self._entered:
                self.books.write_anchor()

    def enter(self, what: str, *values: object) -> None:
        """Enter what is spent into the books, inside its transaction."""
        self._entered.append(msgspec.json.encode((what, *(v.hex() if isinstance(v, bytes) else v for v in values))))

    # -- files and runs ------------------------------------------------------------------------------------------

    def open_account(self, account: str, sha256: str) -> None:
        """Record that a file is served under an account."""
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?)", (account, sha256, _today()))

    def files(self, account: str) -> list[tuple[str, str]]:
        """The files served under an account, the first first: SHA-256, day since when."""
        with self._lock:
            return self._base.execute(
                "SELECT sha256, since FROM files WHERE account = ? ORDER BY rowid", (account,)
            ).fetchall()

    def open_run(self, bank: str, account: str, job: str, nonce: bytes, epoch: bytes, uses: int | None) -> Run:
        """The run that a bank opened with a nonce, or a new one. epoch: of a new one. uses: runs admitted, None: any.

        Raises: RefusedError: all uses of the job's approval are spent.
        """
        where = "bank = ? AND account = ? AND job = ?"
        with self.spending():
            known = self._base.execute(
                f"SELECT run, epoch FROM runs WHERE {where} AND nonce = ?", (bank, account, job, nonce)
            ).fetchone()
            if known:
                return Run(job, known[0], self._unwrapped(job, known[1]), nonce)
            last, used = self._base.execute(
                f"SELECT COALESCE(MAX(run), 0), COUNT(*) FROM runs WHERE {where}", (bank, account, job)
            ).fetchone()
            # A node that has recovered may have given numbers that it does not remember.
            number = max(last, self.books.counter // EPOCH * RUNS_AN_EPOCH) + 1
            if uses is not None and used >= uses:
                raise refuse(
                    self._party, "approve",
                    f"the job {job[:12]} is approved for {uses} run{'s' * (uses != 1)}, and all are used",
                    f"ask {self._party} to approve it again",
                )  # fmt: skip
            wrapped = self._keeper.wrap(epoch, "noise epoch", job) if self._keeper else epoch
            values = (bank, account, job, number, nonce, wrapped, _now())
            self._base.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            self.enter("run", bank, account, job, number)
            return Run(job, number, epoch, nonce)

    def run(self, bank: str, account: str, job: str, number: int) -> Run:
        """A run that was opened. Raises: IntegrityError: it was not, or it is closed for good."""
        query = "SELECT epoch, nonce FROM runs WHERE bank = ? AND account = ? AND job = ? AND run = ?"
        with self._lock:
            row = self._base.execute(query, (bank, account, job, number)).fetchone()
        if row is None:
            raise IntegrityError(bank, f"asks for run {number} of a job that it has not opened", "open a run first")
        if not row[0]:
            thing = f"asks for run {number} of a job, which is closed for good"
            raise RefusedError(bank, thing, "open a new run", "run")
        return Run(job, number, self._unwrapped(job, row[0]), row[1])

    def _unwrapped(self, job: str, epoch: bytes) -> bytes:
        return self._keeper.unwrap(epoch, "noise epoch", job) if self._keeper else epoch

    def close_runs(self, before: str = "9999") -> int:
        """Erase the noise epochs of runs that were opened before a time (ISO 8601): their labels are never answered
        again.

        Returns: how many runs that closes.
        """
        with self.spending():
            query = "UPDATE runs SET epoch = x'' WHERE epoch != x'' AND opened < ?"
            count = self._base.execute(query, (before,)).rowcount
            if count:
                self.enter("close runs", before)
        if count and not self._base.in_transaction:
            # The log of earlier commits still holds what was erased.
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def runs(self, bank: str, account: str, job: str) -> int:
        """Runs of a job so far."""
        query = "SELECT COUNT(*) FROM runs WHERE bank = ? AND account = ? AND job = ?"
        with self._lock:
            (count,) = self._base.execute(query, (bank, account, job)).fetchone()
        return int(count)

    # -- hints ---------------------------------------------------------------------------------------------------

    def admit_seed(self, seed: bytes, matrix: bytes) -> None:
        """A seed serves one matrix. Raises: IntegrityError for a second one."""
        with self._lock:
            self._base.execute("INSERT OR IGNORE INTO seeds VALUES (?, ?)", (seed, matrix))
            (known,) = self._base.execute("SELECT matrix FROM seeds WHERE seed = ?", (seed,)).fetchone()
        if known != matrix:
            raise IntegrityError(self._party, "was asked to use one seed for two matrices", ALIGN_ANEW)

    def spend_flood(self, hint: bytes, cost: float) -> None:
        """Spend of a hint's flooding, which lasts for its life. Raises: RefusedError: it is spent."""
        with self.spending():
            spent = self.flood_spent(hint)
            if spent + cost > FLOOD_BUDGET:
                thing = "the flood budget of its hint is spent"
                raise RefusedError(self._party, thing, "align again for a new hint", "flood")
            self._base.execute("INSERT OR REPLACE INTO flood VALUES (?, ?)", (hint, spent + cost))
            self.enter("flood", hint, cost)

    def flood_spent(self, hint: bytes) -> float:
        """Of the hint's flood budget, in the units of `FLOOD_BUDGET`."""
        with self._lock:
            row = self._base.execute("SELECT cost FROM flood WHERE hint = ?", (hint,)).fetchone()
        return float(row[0]) if row else 0.0

    # -- questions -----------------------------------------------------------------------------------------------

    def equations(
        self, bank: str, account: str, job: str | None = None, run: int | None = None, kind: str | None = None
    ) -> int:
        """Sums released to a bank on a table: all, or those of one job, of one run of it, or of one kind of label."""
        query = "SELECT COALESCE(SUM(equations), 0) FROM labels WHERE bank = ? AND account = ?"
        values: list[object] = [bank, account]
        for name, value in (("job", job), ("run", run)):
            if value is not None:
                query, values = f"{query} AND {name} = ?", [*values, value]
        if kind is not None:
            query, values = f"{query} AND label LIKE ?", [*values, f"{kind}/%"]
        with self._lock:
            (total,) = self._base.execute(query, values).fetchone()
        return int(total)

    def spend(
        self, bank: str, account: str, alignment: str, run: Run, questions: Sequence[Asked], allowance: Allowance
    ) -> list[Asked]:
        """Enter questions before they are answered; those that are asked for the first time.

        Raises: RefusedError: a budget would be passed. IntegrityError: a label was used by another question.
        """
        with self.spending():
            new = [one for one in questions if not self._answered(bank, account, one)]
            self._require_room(bank, account, run, new, allowance)
            self._base.executemany(
                "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(bank, account, one.label, run.job, run.number, one.request, alignment, one.equations) for one in new],
            )
            for one in new:
                self.enter("label", bank, account, one.label, one.request, one.equations)
        return new

    def spend_lost_label(self, bank: str, account: str, job: str, run: int, label: str, equations: int) -> bool:
        """Enter a label that a lost state of this node has answered: it is never answered again.

        Returns: whether it was unknown here.
        """
        with self.spending():
            values = (bank, account, label, job, run, b"lost", "", equations)
            query = "INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            new = self._base.execute(query, values).rowcount > 0
            self.enter("lost label", bank, account, label, equations)
        return new

    def spend_lost_run(self, bank: str, account: str, job: str, run: int) -> bool:
        """Enter a run that a lost state of this node has opened: it is closed, and one use of the approval is spent.

        Returns: whether it was unknown here.
        """
        with self.spending():
            nonce = digest(b"lost", job.encode(), run.to_bytes(8, "little"))
            query = "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, x'', ?)"
            new = self._base.execute(query, (bank, account, job, run, nonce, _now())).rowcount > 0
            self.enter("lost run", bank, account, job, run)
        return new

    def releases(self, bank: str, account: str, run: Run, kind: Kind) -> int:
        """Score releases of a kind in a run so far."""
        query = "SELECT COUNT(*) FROM labels WHERE bank = ? AND account = ? AND job = ? AND run = ? AND label LIKE ?"
        with self._lock:
            (count,) = self._base.execute(query, (bank, account, run.job, run.number, f"{kind}/%")).fetchone()
        return int(count)

    def _answered(self, bank: str, account: str, asked: Asked) -> bool:
        """Whether this very question was answered. Raises: IntegrityError: another one was, under its label."""
        row = self._base.execute(
            "SELECT request FROM labels WHERE bank = ? AND account = ? AND label = ?", (bank, account, asked.label)
        ).fetchone()
        if row and row[0] != asked.request:
            raise IntegrityError(
                self._party, "was asked a second, different question under one label", "open a new run of the job"
            )
        return row is not None

    def _require_room(self, bank: str, account: str, run: Run, new: Sequence[Asked], allowance: Allowance) -> None:
        spent, amount = self.equations(bank, account), sum(one.equations for one in new)
        if amount and allowance.limit is not None and spent + amount > allowance.limit:
            raise refuse(
                self._party, "max_equations_share", f"{spent} of {allowance.limit} equations are released for life",
                "train fewer or shallower trees",
            )  # fmt: skip
        if allowance.approved is not None:
            self._require_planned(bank, account, run, new, allowance.approved)

    def _require_planned(
        self, bank: str, account: str, run: Run, new: Sequence[Asked], approved: Mapping[str, int]
    ) -> None:
        """Each kind has its own number, since an exact sum tells far more than a noisy one. Raises: RefusedError."""
        asked: Counter[str] = Counter()
        for one in new:
            asked[one.kind] += one.equations
        for kind, amount in asked.items():
            planned = approved.get(kind, 0)
            if amount and self.equations(bank, account, run.job, run.number, kind) + amount > planned:
                raise refuse(
                    self._party, "approve",
                    f"the job's approved file plans {planned or 'no'} equations {OF_KIND.get(kind, kind)}, "
                    "and more are asked",
                    "run the job as it was approved",
                )  # fmt: skip

    def spend_release(self, bank: str, alignment: str, label: str, limit: int) -> bool:
        """Enter a vector that scores are made of before it is released; the same one again is free.

        Returns: whether it is a new one.
        Raises: RefusedError: the limit of the alignment would be passed.
        """
        with self.spending():
            query = "SELECT label FROM releases WHERE bank = ? AND alignment = ?"
            released = {row[0] for row in self._base.execute(query, (bank, alignment))}
            if label in released:
                return False
            if len(released) + 1 > limit:
                raise refuse(
                    self._party, "score_releases", f"{len(released)} of {limit} releases on this alignment are spent",
                    "score by a model used before, or agree on more releases",
                )  # fmt: skip
            self._base.execute("INSERT INTO releases VALUES (?, ?, ?)", (bank, alignment, label))
            self.enter("release", bank, alignment, label)
        return True

    def admit_mask(self, members: str, label: str, vector: bytes) -> None:
        """One vector (its digest) a label of masks; a repeat is free. Raises: IntegrityError for a second one."""
        with self.spending():
            self._base.execute("INSERT OR IGNORE INTO masks VALUES (?, ?, ?)", (members, label, vector))
            query = "SELECT vector FROM masks WHERE members = ? AND label = ?"
            (known,) = self._base.execute(query, (members, label)).fetchone()
            if known != vector:
                raise IntegrityError(
                    self._party, "was asked to hide a second, different vector of scores under one mask",
                    "open a new run of the job",
                )  # fmt: skip

    def add_bits(self, bank: str, account: str, told: Bits) -> None:
        """Enter what answers tell at worst, before they are released."""
        own = [(_names([column]), 0, amount) for column, amount in told.own.items()]
        pools = [(_names(pool), 1, amount) for pool, amount in told.pools.items()]
        with self.spending():
            self._base.executemany(
                "INSERT INTO bits VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                [(bank, account, *one) for one in own + pools],
            )
            self.enter("bits", bank, account, own, pools)

    def bits(self, bank: str, account: str) -> Bits:
        """What answers have told at worst, over all binnings, runs and alignments."""
        query = "SELECT columns, pooled, amount FROM bits WHERE bank = ? AND account = ?"
        with self._lock:
            found = self._base.execute(query, (bank, account)).fetchall()
        rows = [(msgspec.json.decode(columns, type=list[str]), pooled, amount) for columns, pooled, amount in found]
        own = {columns[0]: amount for columns, pooled, amount in rows if not pooled}
        pools = {frozenset(columns): amount for columns, pooled, amount in rows if pooled}
        return Bits(own, pools)

    def admit_encoding(self, bank: str, account: str, place: str, value: bytes) -> None:
        """What stands for a column's bins is fixed once for a place (run, model, layout, column).

        Raises: IntegrityError: other values were named before.
        """
        if not self.pinned(bank, account, place, value):
            raise IntegrityError(
                bank, "names other values for the bins of a column than before in this run",
                "encode every column once a run",
            )  # fmt: skip

    def pinned(self, bank: str, account: str, place: str, value: bytes) -> bool:
        """Whether this value, and no other, stands at a place; the first one that is named stays."""
        with self.spending():
            self._base.execute("INSERT OR IGNORE INTO encodings VALUES (?, ?, ?, ?)", (bank, account, place, value))
            query = "SELECT value FROM encodings WHERE bank = ? AND account = ? AND place = ?"
            (known,) = self._base.execute(query, (bank, account, place)).fetchone()
        return bool(known == value)

    def is_pinned(self, bank: str, account: str, place: str) -> bool:
        """Whether any value stands at a place."""
        query = "SELECT 1 FROM encodings WHERE bank = ? AND account = ? AND place = ?"
        with self._lock:
            return self._base.execute(query, (bank, account, place)).fetchone() is not None

    # -- splits --------------------------------------------------------------------------------------------------

    def reveal(self, bank: str, data: str, binning: bytes, alignment: str, split: Split, rows: bytes) -> None:
        """Enter a split before its bits are released. rows: of the node, b"" for all."""
        values = (bank, data, binning, alignment, msgspec.json.encode(split).decode(), rows)
        with self.spending():
            self._base.execute("INSERT OR IGNORE INTO revealed VALUES (?, ?, ?, ?, ?, ?)", values)
            self.enter("reveal", bank, data, binning, alignment, values[4], rows)

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
        with self.spending():
            self._base.execute("INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?)", (bank, data, binning, share))
            self.enter("share", bank, data, binning, share)

    def other_shares(self, bank: str, data: str, binning: bytes) -> float:
        """Shares spent on other binnings of the same table: what one tells may add to what another tells."""
        query = "SELECT COALESCE(SUM(share), 0) FROM shares WHERE bank = ? AND data = ? AND binning != ?"
        with self._lock:
            (total,) = self._base.execute(query, (bank, data, binning)).fetchone()
        return float(total)

    @property
    def base(self) -> sqlite3.Connection:
        """The file, for tables that share its transactions."""
        return self._base


def _names(columns: Iterable[str]) -> str:
    """Names of columns as a key of the file, in one order."""
    return msgspec.json.encode(sorted(columns)).decode()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
