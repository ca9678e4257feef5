"""What holds between this partner and its bank: the terms agreed last, and what a person approved of the job."""

from pathlib import Path

import msgspec

from partner_node.node.holdings import Holdings
from partner_node.policy.policy import CLAUSE, Approval
from protocol.algorithms import agreement
from protocol.contract import Contract, refuse
from protocol.errors import RefusedError
from protocol.job.workload import Workload
from protocol.node.files import write_whole


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
        self._terms = agreement.terms(
            config.party, config.engine, config.alignment_terms, config.split_rows, config.contract
        )

    def welcome(self, hello: agreement.Hello) -> agreement.Welcome:
        """Agree on terms and a job, and remember them. Raises: PeerError, RefusedError."""
        own, policy = self._own, self._own.config.policy
        contract = agreement.agree(self._terms, hello.terms)
        job = own.models.job_of(hello.model) if hello.model else hello.job
        if hello.job or hello.model:
            self.approved(job)
        clauses = {name: float(value) for name, value in contract.model_dump().items()}
        write_whole(self._file, msgspec.json.encode(Agreed(clauses, job)))
        return agreement.Welcome(
            terms=self._terms,
            data=own.table.sha256,
            rows=own.table.rows,
            columns=len(own.table.columns),
            equation_budget=policy.equation_budget,
            noise_key="derived from the run's seed" if policy.noise_seed else "from the operating system",
        )

    @property
    def there(self) -> bool:
        """Whether the bank has ever agreed to terms."""
        return self._file.exists()

    @property
    def contract(self) -> Contract:
        """The clauses that hold."""
        return Contract.model_validate(self._agreed.contract)

    @property
    def job(self) -> str:
        """The digest of the job under way."""
        return self._agreed.job

    @property
    def plan(self) -> Workload | None:
        """What the approved file of the job plans; None where no file was approved."""
        approval = self.approved(self.job)
        return approval.workload if approval else None

    def approved(self, job: str) -> Approval | None:
        """The job's approval, None where none is needed. Raises: RefusedError: it is needed, and not there."""
        return self._own.approvals.require(job) if self._own.config.policy.approve == "manual" else None

    def not_as_approved(self, thing: str) -> RefusedError:
        """The bank asks for what the approved file does not have."""
        party = self._own.config.party
        return refuse(party, CLAUSE, f"the job's approved file {thing}", "run the job as it was approved")

    @property
    def _agreed(self) -> Agreed:
        return msgspec.json.decode(self._file.read_bytes(), type=Agreed)
