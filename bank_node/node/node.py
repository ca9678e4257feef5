"""A bank's node: the only place where its data, its keys, its ledger and a transport meet, and drive a script."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bank_node.data.rows import Rows
from bank_node.decisions.watch_list import WatchList
from bank_node.families.in_force import note_run
from bank_node.family.training import Training
from bank_node.models.folder import ModelFolder
from bank_node.partners.alignment import align
from bank_node.partners.checkup import CheckedUp, check_up
from bank_node.partners.sessions import PartnerSessions, Progress
from bank_node.scoring.met import Met
from bank_node.scoring.refreshed import Refreshed, refresh, require_refreshable
from bank_node.scoring.scoring import Scored, partners_asked, score
from bank_node.scoring.streaming import score_rows
from bank_node.settings.config import BankConfig
from bank_node.training.outcome.outcome import write_outcome
from bank_node.training.own_table import read_own_table
from bank_node.training.refit_record import write_record
from bank_node.training.run import train
from protocol.algorithms.agreement import Welcome
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.checkup import formats_of
from protocol.errors import TransportError, UsageError
from protocol.files import folder_name, own_folder
from protocol.he.streams import permutation
from protocol.job import Job
from protocol.ledger import Ledger, export_receipt
from protocol.messages import Message
from protocol.role import drive
from protocol.table import Table
from protocol.table.notes import lines_of
from protocol.transport.base import Transport
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession


class BankNode:
    """One bank's node over one transport. Use as a context manager: it closes ledger and transport."""

    def __init__(self, config: BankConfig, transport: Transport, progress: Progress) -> None:
        self._config, self._transport, self._progress = config, transport, progress
        self._ledger = Ledger(own_folder(config.state) / "ledger.sqlite", config.party)
        self._session = BankSession(transport.exchange, self._sent, self._received)

    def __enter__(self) -> "BankNode":
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
        self._transport.close()

    def align(self, job: Job, anew: bool) -> dict[str, BankAlignment]:
        """Align with the job's partners, and keep the alignments. anew: also where one is kept already."""
        return self.align_rows(read_own_table(self._config, job), job.partners, job.sha256, anew)

    def align_rows(
        self, table: Table, partners: Sequence[str], job: str = "", anew: bool = False
    ) -> dict[str, BankAlignment]:
        """Align a table that is read already. job: digest of the one that it is for, if there is one."""
        sessions = PartnerSessions(self._config, table, self._session.exchange, self._progress)
        sessions.agree(partners, job)
        return sessions.align(partners, anew)

    def greet(self, partner: str, table: Table) -> Welcome:
        """Agree on terms with one partner, and no more. Raises: PeerError, RefusedError, TransportError."""
        sessions = PartnerSessions(self._config, table, self._session.exchange, self._progress)
        sessions.agree([partner], "")
        return sessions.welcomes[partner]

    def check_up(self, partner: str, table: Table) -> CheckedUp:
        """Measure clock and link of a partner that was greeted, and exchange formats of ids."""
        script = check_up(partner, formats_of(table.entity_ids), time.time, time.perf_counter)
        return drive(script, self._session.exchange)

    def kept_alignment(self, partner: str, table: Table) -> BankAlignment | None:
        """The alignment kept with a partner that was greeted, None if there is none."""
        sessions = PartnerSessions(self._config, table, self._session.exchange, self._progress)
        sessions.agree([partner], "")
        return sessions.kept(partner)

    def align_sample(self, partner: str, table: Table, rows: int, job: str) -> BankAlignment:
        """Align some rows drawn by chance with one partner; nothing is kept here.

        job: digest of a job that the partner has approved, without which it aligns nothing.
        Raises: RefusedError: it has not. UsageError: rows are named by dates too, or alignment is
        "shared", which would tell whose rows match.
        """
        config = self._config
        if config.alignment != "one-sided" or config.dating:
            thing = "a sample is aligned one-sided and without dates only"
            raise UsageError(config.party, thing, "run `bank-node align` in its place")
        ids = [table.ids[i] for i in permutation(table.rows)[:rows]]
        PartnerSessions(config, table, self._session.exchange, self._progress).agree([partner], job)
        script = align(config.party, [partner], ids, len(config.data.id), "one-sided", lambda done, total: None)
        return drive(script, self._session.exchange)[partner]

    def train(self, job: Job, job_text: str, out: Path, say: Callable[[str], None] = lambda line: None) -> None:
        """Train the job's ladder, and leave scores, models and facts in `out`. say: is told how the table was read.

        Raises: UsageError: the job has no rows to test.
        """
        if job.split.kind != "column" and not job.split.test:
            raise UsageError(job.bank, "split.test is 0, and a report needs rows to test", "set it to 0.25, say")
        table = read_own_table(self._config, job)
        for line in lines_of(table.party, table.reading, "the report lists them"):
            say(line)
        training = self.fit(job, table)
        write_outcome(training, out, job_text)
        write_record(training, out)
        note_run(self._config.state, out)
        self._leave_receipt(out)

    def fit(self, job: Job, table: Table) -> Training:
        """Train the job's ladder on a table that is read already; nothing is written but this node's own state."""
        return train(self._config, job, table, self._session.exchange, self._progress)

    def refresh(self, models: Sequence[ModelFolder], ids: list[bytes]) -> list[Refreshed]:
        """Keep what the models need of every partner, so that scoring asks nobody. ids: to be scored, as aligned.

        A partner that is out of reach keeps no other one from being refreshed. Raises: TransportError: the first such.
        """
        require_refreshable(self._config)
        sessions = PartnerSessions(
            self._config, Table(self._config.party, [], ()), self._session.exchange, self._progress
        )
        partners = dict.fromkeys(p for m in models for p in partners_asked(self._config, m, set()))
        uses = {p: [m for m in models if p in partners_asked(self._config, m, set())] for p in partners}
        done, gone = [], []
        for partner, used in uses.items():
            try:
                done.append(refresh(sessions, partner, used, ids))
            except TransportError as error:
                gone.append(error)
        if gone:
            raise gone[0]
        return done

    def score(self, model: ModelFolder, table: Table, without: set[str]) -> Scored:
        """Score rows by a model; `without` some partners, their splits take the default directions."""
        return score(self._config, model, table, self._session.exchange, without, self._progress)

    def score_file(
        self, model: ModelFolder, rows: Rows, out: Path, without: set[str], watch: WatchList | None = None,
        strict: float | None = None,
    ) -> Met:  # fmt: skip
        """Score the rows of a file of any length, part by part; put the red and amber ones on the watch list.

        strict: as in `score_rows`.
        """
        exchange = self._session.exchange
        return score_rows(self._config, model, rows, out, exchange, without, self._progress, watch, strict)

    def _leave_receipt(self, out: Path) -> None:
        """This node's own receipt; whoever has the partners' too can hold them against each other."""
        receipt = own_folder(out / "receipts") / f"{folder_name(self._config.party)}.jsonl"
        export_receipt(self._ledger.path, receipt, self._config.party)

    def _sent(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("sent", peer, envelope, message)

    def _received(self, peer: str, envelope: Envelope, message: Message) -> None:
        self._ledger.record("received", peer, envelope, message)
