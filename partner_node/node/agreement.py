"""What holds between this partner and its bank: the terms agreed last, and what a person approved of the job."""

from pathlib import Path

import msgspec

from partner_node.node.holdings import Holdings
from partner_node.policy.contracts import contracts_of
from partner_node.policy.opening import erase_old_epochs
from partner_node.policy.policy import CLAUSE, not_in_force
from partner_node.store.pools import under_another_contract
from protocol.algorithms import agreement
from protocol.algorithms.runs import RunOpened, RunOpening
from protocol.contract import Contract, refuse
from protocol.errors import PeerError, RefusedError
from protocol.files import write_whole
from protocol.he.streams import derive, digest, fresh_key
from protocol.job.approval import Approval
from protocol.job.workload import Workload
from protocol.node.books import later


class Agreed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was agreed last: on disk, so that a restarted node goes on under it. job: what is asked for is asked for
    this job, "" if the bank only greeted."""

    contract: dict[str, float]
    job: str


class Agreement:
    """The terms, once the bank has greeted; before that, there are none."""

    def __init__(self, own: Holdings) -> None:
        self._own, config = own, own.config
        self._file: Path = config.state / "agreement.json"
        self._contracts = contracts_of(config)

    @property
    def _terms(self) -> agreement.Terms:
        """What this node says of itself: the clauses are the signed contract's, or the node's own without one."""
        config = self._own.config
        live = self._contracts.require(config.bank, needed=False) if not self._over else None
        clauses = live.contract.clauses if live else config.contract
        return agreement.terms(config.party, config.engine, config.alignment_terms, config.split_rows, clauses)

    @property
    def _over(self) -> bool:
        """Whether there was a signed contract, and none is in force: greetings are answered all the same."""
        try:
            self._contracts.require(self._own.config.bank, needed=False)
        except RefusedError:
            return True
        return False

    def welcome(self, hello: agreement.Hello) -> agreement.Welcome:
        """Agree on terms and a job, and remember them. Raises: PeerError, RefusedError."""
        own, policy, terms = self._own, self._own.config.policy, self._terms
        contract = agreement.agree(terms, hello.terms)
        job = own.pools.job_of(hello.pool) if hello.pool else hello.job
        own.budgets.books.show(hello.yours)
        if hello.job or hello.pool:
            own.budgets.books.require_current()
            erase_old_epochs(own.budgets, own.config.audit_days)
        approval = self.approved(job) if hello.job or hello.pool else None
        if approval:
            self._require_clauses(approval, contract)
        if job:
            self._pin(job, contract, approval, scoring=bool(hello.pool))
        clauses = {name: float(value) for name, value in contract.model_dump().items()}
        write_whole(self._file, msgspec.json.encode(Agreed(clauses, job)))
        return agreement.Welcome(
            terms=terms,
            data=own.data,
            rows=own.table.rows,
            columns=len(own.table.columns),
            equation_budget=policy.equation_budget,
            noise_key="derived from the run's seed" if policy.noise_seed else "from the operating system",
            books=own.budgets.books.sign(),
            yours=self._last_seen(hello.books),
        )

    def _last_seen(self, now: agreement.SignedState | None) -> agreement.SignedState | None:
        """What the bank showed of its books before; what it shows now is kept if it is later."""
        path = self._own.config.state / "bank-books.json"
        before = msgspec.json.decode(path.read_bytes(), type=agreement.SignedState) if path.exists() else None
        kept = later(before, now, self._own.config.bank)
        if kept is not None and kept != before:
            write_whole(path, msgspec.json.encode(kept), durable=True)
        return before

    @property
    def there(self) -> bool:
        """Whether the bank has ever agreed to terms."""
        return self._file.exists()

    @property
    def contract(self) -> Contract:
        """The clauses that hold."""
        return Contract.model_validate(self._agreed.contract)

    @property
    def most_readable(self) -> float:
        """The share of the bins that answers may make readable; 1 where any may."""
        return self.contract.max_readable_share

    @property
    def job(self) -> str:
        """The digest of the job under way."""
        return self._agreed.job

    @property
    def plan(self) -> Workload | None:
        """What the approved file of the job plans; None where no file was approved and none is needed."""
        approval = self.approved(self.job)
        return approval.workload if approval else None

    def require_job(self, job: str) -> None:
        """Raises: PeerError: the bank opens another job than it has greeted for."""
        if job != self.job:
            raise PeerError(self._own.config.bank, "opens another job than it agreed on", "run the job again")

    def require_under_way(self, job: str) -> None:
        """Raises: PeerError: what is asked is of another job than the bank has greeted for."""
        if job != self.job:
            raise PeerError(self._own.config.bank, "asks under another job than it agreed on", "greet for it first")

    def open_run(self, opening: RunOpening) -> RunOpened:
        """Give the run a number, and draw the epoch of its noise; asked again, the same. Raises: RefusedError."""
        own, config = self._own, self._own.config
        self.require_job(opening.job)
        run = own.budgets.open_run(
            config.bank,
            config.policy.account,
            opening.job,
            opening.nonce,
            self._epoch(opening.job),
            self._uses(opening.job),
        )
        return RunOpened(job=run.job, run=run.number)

    def _epoch(self, job: str) -> bytes:
        """Key of a run's noise: from the operating system; from the seed where one hand holds all parties."""
        seed = self._own.config.policy.noise_seed
        if seed:
            return derive(digest(seed.encode()), "noise epoch", self._own.config.party.encode(), job.encode())
        return fresh_key()

    def _uses(self, job: str) -> int | None:
        """Runs that the job is approved for; None: any number."""
        approval = self.approved(job)
        return approval.uses if approval else None

    @property
    def features(self) -> tuple[str, ...] | None:
        """The features that the approved file of the job names; None for all, where no file is needed."""
        approval = self.approved(self.job)
        return approval.features if approval else None

    def approved(self, job: str) -> Approval | None:
        """The job's approval in force; None where there is none and none is needed.

        Raises: RefusedError: it is needed, and not in force here.
        """
        own = self._own
        self._contracts.require(own.config.bank, needed=own.config.require_contract)
        if own.config.policy.approve == "auto" and own.approvals.state_of(job) != "approved":
            return None
        return self.approved_by_file(job)

    def approved_by_file(self, job: str) -> Approval:
        """The job's approval in force, which linear models always need: their exact sums have no noise.

        Raises: RefusedError: it is not in force, or the table or the settings are others than were approved.
        """
        approval, party = self._own.approvals.require(job), self._own.config.party
        names = {column.name for column in self._own.table.columns}
        lost = sum(feature not in names for feature in approval.features)
        if lost:  # the bank is not told which
            raise not_in_force(party, job, f"was approved for {lost} column(s) that the table no longer has")
        for name in ("engine", "alignment", "split_rows"):
            then, now = getattr(approval, name), getattr(self._own.config, name)
            if then != now:
                raise not_in_force(party, job, f"was approved with {name} {then}, and the node has {now}")
        return approval

    @property
    def _own_clauses(self) -> Contract:
        """This node's side of the clauses."""
        return self._contracts.clauses(self._own.config.bank, self._own.config.contract)

    def _require_clauses(self, approval: Approval, contract: Contract) -> None:
        """Raises: RefusedError: a clause that was agreed on is laxer than the one that was approved."""
        approved = Contract.model_validate(approval.clauses)
        holds = contract.stricter(approved).clauses
        for name, value in contract.clauses.items():
            if holds[name] != value:
                party = self._own.config.party
                raise refuse(
                    party, name, f"{value:g} was agreed on, and the job was approved with {approved.clauses[name]:g}",
                    f"set {name} = {approved.clauses[name]:g} under [contract] of the bank's node.toml, "
                    f"or ask {party} to approve the job again",
                )  # fmt: skip

    def _pin(self, job: str, contract: Contract, approval: Approval | None, scoring: bool) -> None:
        """Hold a job to the clauses of its first greeting since it was approved.

        Other ones, told in turn, would be a ruler, since what one refuses and the next does not is a count; and they
        would scale the noise of one question. Raises: RefusedError.
        """
        own, config = self._own, self._own.config
        place = f"contract/{job}/{self._own_clauses.digest}/{approval.approved if approval else ''}"
        if own.budgets.pinned(config.bank, config.policy.account, place, contract.digest.encode()):
            return
        if scoring:
            raise under_another_contract(config.party)
        raise refuse(
            config.party, CLAUSE, "the job was greeted for under other clauses before, and keeps those",
            f"set [contract] of the bank's node.toml as it was, or ask {config.party} to approve the job again",
        )  # fmt: skip

    def not_as_approved(self, thing: str) -> RefusedError:
        """The bank asks for what the approved file does not have."""
        party = self._own.config.party
        return refuse(party, CLAUSE, f"the job's approved file {thing}", "run the job as it was approved")

    @property
    def _agreed(self) -> Agreed:
        return msgspec.json.decode(self._file.read_bytes(), type=Agreed)
