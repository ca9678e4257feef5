"""A federation as a notebook sees it: the bank's node, and the partners that it can reach."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bank_node.api.listing import Listing
from bank_node.api.progress import watched
from bank_node.api.rows import Rows, as_source
from bank_node.node.connect import connected
from bank_node.node.node import BankNode
from bank_node.partners.sessions import Progress
from bank_node.settings.config import BankConfig, load_config
from protocol.errors import UsageError
from protocol.job import Job, load_job
from protocol.ledger import read_ledger
from protocol.table import Source, read_table

Connect = Callable[[BankConfig, Progress], AbstractContextManager[BankNode]]
"""Gives the bank's node, connected to its partners, for the time of a `with`."""


class Federation:
    """One bank and its partners.

    Args:
        settings: the bank's node.toml, with which `bank-node train` would run.
        connect: how its partners are reached; over gRPC and mutual TLS if not given.
        progress: whether to show bars while something is trained or scored.

    The partners are called when something is asked of them, and not before.
    """

    def __init__(self, settings: str | Path | BankConfig, connect: Connect = connected, progress: bool = True) -> None:
        """Raises: UsageError: node.toml is missing or wrong."""
        self.config = settings if isinstance(settings, BankConfig) else load_config(Path(settings))
        self.progress, self._connect = progress, connect

    @property
    def bank(self) -> str:
        """The bank's name."""
        return self.config.party

    @property
    def partners(self) -> tuple[str, ...]:
        """The partners' names."""
        return tuple(self.config.partners)

    def overlap(self, rows: Rows | None = None, job: str | Path | None = None) -> Listing:
        """How many of these rows each partner holds. The alignment is kept: a fit or a scoring of them begins with it.

        With alignment one-sided the partner learns how many rows there are and how many match, not which.

        Args:
            job: a job file that the partners have approved, such as `FederatedBooster.job_file` writes.
        Raises: RefusedError: they have approved none.
        """
        digest = load_job(Path(job)).sha256 if job else ""
        with self.rows(rows) as config:
            bare = {"columns": (), "label": "", "weight": "", "amount": "", "time": "", "part": ""}
            table = read_table(config.data.source, config.data.model_copy(update=bare), self.bank, to_train=False)
            with self.node(config) as node:
                aligned = node.align_rows(table, self.partners, digest)
        shares = {p: a.matches / table.rows for p, a in aligned.items()}
        return Listing(
            [{"partner": p, "rows": table.rows, "matched": a.matches, "share": shares[p]} for p, a in aligned.items()]
        )

    def disclosures(self, sender: str = "", receiver: str = "") -> Listing:
        """Everything that ever left the bank's node or reached it, by kind, from its ledger; of all, or of these."""
        rows = ledger_of(self.config.state)
        return Listing([r for r in rows if sender in ("", r["sender"]) and receiver in ("", r["receiver"])])

    @contextmanager
    def rows(self, rows: Rows | None) -> Iterator[BankConfig]:
        """The node's settings, with these rows as its table; with its own table if there are none."""
        if rows is None:
            yield self.config
            return
        with as_source(rows, self.config.state / "rows", self.bank) as source:
            yield self._reading(source)

    @contextmanager
    def node(self, config: BankConfig) -> Iterator[BankNode]:
        """The bank's node, connected, and its progress shown."""
        with watched(self.progress) as progress, self._connect(config, progress) as node:
            yield node

    def submit(self, job: Job) -> None:
        """Put a job to the partners before it is run. Real ones approve its file by themselves: nothing is sent."""

    def chosen(self, partners: object) -> tuple[str, ...]:
        """Some of the partners, all if None. Raises: UsageError: one of them is none."""
        if partners is None:
            return self.partners
        names = (partners,) if isinstance(partners, str) else tuple(partners)  # type: ignore[arg-type]
        for name in names:
            if name not in self.partners:
                raise UsageError("partners", f"{name!r} is no partner", f"choose of {', '.join(self.partners)}")
        return names

    def _reading(self, source: Source) -> BankConfig:
        return self.config.model_copy(update={"data": self.config.data.model_copy(update={"source": source})})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bank={self.bank!r}, partners={list(self.partners)}, {self.config.engine})"


def ledger_of(state: Path) -> Listing:
    """What a node's ledger holds, added up by kind; nothing if it has not begun one."""
    path = state / "ledger.sqlite"
    if not path.exists():
        return Listing([])
    ledger = read_ledger(path)
    try:
        return Listing([dict(row) for row in ledger.summary()])
    finally:
        ledger.close()
