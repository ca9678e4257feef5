"""A job waits for its approval, and no other job rides on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_node.config import load_config as load_bank
from bank_node.models.folder import load_model
from bank_node.node import BankNode
from bank_node.scoring.scoring import read_rows
from experiments.running.prepare import write_parties
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.approving import decide
from partner_node.policy.policy import Approvals
from protocol.algorithms.binning import Cutting, LayoutQuery
from protocol.algorithms.boosting import Opening
from protocol.errors import PeerError, RefusedError, UsageError
from protocol.job import Job, load_job
from protocol.ledger import read_ledger
from protocol.transport.in_process import InProcess
from tests.e2e.commands import edit
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


class Parties:
    """A bank and one partner that approves by hand, in one process."""

    def __init__(self, folder: Path) -> None:
        self.job_file = scenario(folder)
        edit(self.job_file, lambda v: v["parties"].pop("bureau"))
        self.job = load_job(self.job_file)
        _, self.nodes = write_parties(self.job, self.job_file, folder / "out")
        self.out = folder / "run"
        edit(self.nodes.configs["telecom"], lambda v: v["policy"].update(approve="manual"))
        self.partner = load_partner(self.nodes.configs["telecom"])
        self.service = PartnerService(self.partner)
        services = {"telecom": self.service.serve}
        self.bank = BankNode(load_bank(self.nodes.configs["bank"]), InProcess("bank", services), quiet)
        self.approvals = Approvals(self.partner.state / "approvals.sqlite", "telecom")

    def train(self, job_file: Path | None = None) -> None:
        self.bank.train(load_job(job_file or self.job_file), "", self.out)

    def sent(self) -> set[str]:
        reader = read_ledger(self.partner.state / "ledger.sqlite")
        return {entry.kind for entry in reader.entries() if entry.direction == "sent"}

    def other_job(self, **params: int) -> Path:
        """The same job with other parameters of its model."""
        path = self.job_file.with_name("other.toml")
        path.write_text(self.job_file.read_text())
        return edit(path, lambda v: v["models"][0]["params"].update(params))


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Parties]:
    made = Parties(tmp_path)
    yield made
    made.approvals.close()
    made.bank.__exit__()
    made.service.__exit__()


def test_a_job_waits_until_it_is_approved_and_ends_when_that_is_withdrawn(parties: Parties):
    with pytest.raises(RefusedError, match=r"^telecom: the job \w{12} is not approved .contract clause approve.; ask"):
        parties.train()
    assert parties.sent() == {"refusal"}
    assert [(a.job, a.state) for a in parties.approvals.all()] == [(parties.job.sha256, "held")]
    decide(parties.approvals, "telecom", str(parties.job_file), withdraw=False)
    parties.train()
    model = load_model(parties.out / "models/bank+telecom/boosting")
    table = read_rows(parties.bank._config, model, parties.nodes.configs["bank"].parent / "data.parquet")
    assert len(parties.bank.score(model, table, set()).ids) == table.rows
    decide(parties.approvals, "telecom", parties.job.sha256, withdraw=True)
    with pytest.raises(RefusedError, match="is withdrawn"):
        parties.bank.score(model, table, set())
    with pytest.raises(RefusedError, match="is withdrawn"):
        parties.train()
    (known,) = parties.approvals.all()
    assert (known.state, known.name) == ("withdrawn", "small")
    assert known.approved
    assert known.withdrawn


def test_the_bank_may_greet_but_no_more_without_a_job(parties: Parties):
    decide(parties.approvals, "telecom", parties.job.sha256, withdraw=False)
    parties.bank.train(parties.job, "", parties.out)
    own = load_model(parties.out / "models/bank+telecom/boosting")
    rows = read_rows(parties.bank._config, own, parties.nodes.configs["bank"].parent / "data.parquet")
    assert parties.bank.greet("telecom", rows).terms.party == "telecom"
    with pytest.raises(RefusedError, match="a job without a digest"):
        parties.service._node.handle("bank", LayoutQuery(alignment="0" * 64, cutting=Cutting(8)))


def test_another_job_cannot_ride_on_an_approval(parties: Parties):
    decide(parties.approvals, "telecom", str(parties.job_file), withdraw=False)
    with pytest.raises(RefusedError, match="is not approved"):
        parties.train(parties.other_job(n_estimators=4))
    # A bank that gives the approved digest for a job of more trees, or of other bins, is held to the file.
    for params, said in (({"n_estimators": 4}, "does not plan 64 equations"), ({"max_bin": 9}, "columns into 9")):
        greedy = _named(load_job(parties.other_job(**params)), parties.job.sha256)
        with pytest.raises(RefusedError, match=said):
            parties.bank.train(greedy, "", parties.out)
    with pytest.raises(PeerError, match="another job than it agreed on"):
        _open_another(parties)


def _named(job: Job, digest: str) -> Job:
    """A job that gives itself out for another."""
    greedy = type("Greedy", (Job,), {"sha256": property(lambda self: digest)})
    return greedy.model_validate(job.model_dump(by_alias=True))


def _open_another(parties: Parties) -> None:
    parties.train()
    layout = next((parties.partner.state / "layouts").iterdir()).stem
    opening = Opening(job="f" * 64, layout=layout, rows=1, equations=1, equations_a_tree=1)
    parties.service._node.handle("bank", opening)


def test_approve_by_digest_or_file_and_nothing_else(parties: Parties):
    with pytest.raises(UsageError, match="no approval of the job"):
        decide(parties.approvals, "telecom", "a" * 64, withdraw=True)
    with pytest.raises(UsageError, match=r"none\.toml"):
        decide(parties.approvals, "telecom", "none.toml", withdraw=False)
    with pytest.raises(UsageError, match="is no partner in"):
        decide(parties.approvals, "bureau", str(parties.job_file), withdraw=False)
