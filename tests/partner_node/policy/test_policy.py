"""A job waits for its approval, and no other job rides on it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from experiments.run.prepare import write_parties
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.approving import (
    approval_of,
    approve,
    headline,
    job_with,
    listed_lines,
    open_approvals,
    withdraw,
)
from partner_node.policy.policy import MOST_HELD, Approvals, Listed
from protocol.algorithms.agreement import Hello, terms
from protocol.algorithms.binning import Cutting, LayoutQuery
from protocol.algorithms.boosting import Opening
from protocol.errors import DataError, PeerError, RefusedError, UsageError
from protocol.job import Job, load_job
from protocol.job.approval import Approval
from protocol.job.workload import Workload
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
        self.partner = load_partner(self.nodes.configs["telecom"])
        shutil.rmtree(self.partner.state)  # with it goes the approval that `write_parties` has given
        self.service = PartnerService(self.partner)
        services = {"telecom": self.service.serve}
        self.bank = BankNode(load_bank(self.nodes.configs["bank"]), InProcess("bank", services), quiet)
        self.approvals = open_approvals(self.partner)

    def train(self, job_file: Path | None = None) -> None:
        self.bank.train(load_job(job_file or self.job_file), "", self.out)

    def approve(self, job_file: Path | None = None, days: int = 90, uses: int = 2) -> Approval:
        return approve(self.partner, load_job(job_file or self.job_file), days, uses)

    def sent(self) -> set[str]:
        reader = read_ledger(self.partner.state / "ledger.sqlite")
        return {entry.kind for entry in reader.entries() if entry.direction == "sent"}

    def restart(self) -> None:
        """Let the partner read its settings again."""
        self.bank.__exit__()
        self.service.__exit__()
        self.partner = load_partner(self.nodes.configs["telecom"])
        self.service = PartnerService(self.partner)
        self.bank = BankNode(
            load_bank(self.nodes.configs["bank"]), InProcess("bank", {"telecom": self.service.serve}), quiet
        )

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
    parties.approve()
    parties.train()
    model = load_model(parties.out / "models/bank+telecom/boosting")
    table = read_rows(parties.bank._config, model, parties.nodes.configs["bank"].parent / "data.parquet")
    assert len(parties.bank.score(model, table, set()).ids) == table.rows
    withdraw(parties.partner, parties.job.sha256)
    with pytest.raises(RefusedError, match="had its approval withdrawn at"):
        parties.bank.score(model, table, set())
    with pytest.raises(RefusedError, match="had its approval withdrawn at"):
        parties.train()
    (known,) = parties.approvals.all()
    assert known.state == "withdrawn"
    assert known.approval
    assert known.approval.name == "small"
    assert known.withdrawn


def test_the_bank_may_greet_but_no_more_without_a_job(parties: Parties):
    parties.approve()
    parties.bank.train(parties.job, "", parties.out)
    own = load_model(parties.out / "models/bank+telecom/boosting")
    rows = read_rows(parties.bank._config, own, parties.nodes.configs["bank"].parent / "data.parquet")
    assert parties.bank.greet("telecom", rows).terms.party == "telecom"
    with pytest.raises(RefusedError, match="a job without a digest"):
        parties.service._node.handle("bank", LayoutQuery(alignment="0" * 64, cutting=Cutting(8)))


def test_another_job_cannot_ride_on_an_approval(parties: Parties):
    parties.approve()
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
    _greet_for_the_job(parties)
    layout = next((parties.partner.state / "layouts").iterdir()).stem
    opening = Opening(job="f" * 64, run=1, layout=layout, rows=1, equations=1, equations_a_tree=1)
    parties.service._node.handle("bank", opening)


def _greet_for_the_job(parties: Parties) -> None:
    """Greet once more: a run ends with a greeting for no job."""
    bank = parties.bank._config
    own = terms(bank.party, bank.engine, bank.alignment, bank.split_rows, bank.contract)
    parties.service._node.handle("bank", Hello(terms=own, job=parties.job.sha256))


def kept(parties: Parties, **changes: object) -> Approval:
    """Put an approval in force that is changed in some field."""
    changed = msgspec.structs.replace(approval_of(parties.partner, parties.job), **changes)
    parties.approvals.keep(changed)
    return changed


def test_an_approval_ends_at_its_date(parties: Parties):
    kept(parties, not_after="2020-01-01T00:00:00+00:00")
    with pytest.raises(RefusedError, match=r"expired at 2020-01-01T00:00:00\+00:00 .contract clause approve.; ask"):
        parties.train()
    assert [a.state for a in parties.approvals.all()] == ["expired"]
    assert parties.sent() == {"refusal"}
    parties.approve(days=1)
    parties.train()


def example(**changes: object) -> Approval:
    """An approval of a job without models."""
    made = Approval(
        "bank", "telecom", ("telecom",), "a" * 64, "small", ("*",), ("calls",), "b" * 64, Workload(()), "blind",
        "one-sided", "all", {}, "2026-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00", 2,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_a_table_without_an_approved_column_and_other_settings_are_refused(parties: Parties):
    kept(parties, features=("calls", "gone"))
    with pytest.raises(RefusedError, match=r"approved for 1 column.s. that the table no longer has .contract clause"):
        parties.train()
    for name, then in (("engine", "plaintext"), ("alignment", "shared"), ("split_rows", "node")):
        kept(parties, **{name: then})
        with pytest.raises(RefusedError, match=rf"approved with {name} {then}, .* .contract clause approve"):
            parties.train()


def test_a_laxer_contract_than_was_approved_is_refused_by_its_clause(parties: Parties):
    clauses = parties.approve().clauses
    kept(parties, clauses={**clauses, "max_information_share": 0.1})
    said = r"0.2 was agreed on, and the job was approved with 0.1 .contract clause max_information_share.; set"
    with pytest.raises(RefusedError, match=said):
        parties.train()
    kept(parties, clauses={**clauses, "min_rows_per_bin": 1.0})  # what was agreed on is stricter
    parties.train()


def test_columns_outside_the_approval_keep_their_numbers_and_are_not_told(parties: Parties):
    named = edit(parties.other_job(), lambda v: v["parties"]["telecom"].update(columns=["calls", "bra*"]))
    approval = parties.approve(named)
    assert approval.columns == ("calls", "bra*")
    assert approval.features == ("calls", "brand")
    parties.train(named)
    folder = parties.partner.state / "layouts"
    (layout,) = [p.stem for p in folder.glob("*.json")]
    told = parties.service._node._layouts.answerer(layout).table
    assert told.names == ("calls", "brand")
    assert [shape.number for shape in told.shapes] == [0, 2]
    assert told.dropped == ()


def test_special_values_come_from_the_approved_file(parties: Parties):
    parties.approve()
    parties.train()
    _greet_for_the_job(parties)
    (layout,) = (parties.partner.state / "layouts").glob("*.json")
    aligned = json.loads(layout.read_text())["alignment"]
    asked = LayoutQuery(alignment=aligned, cutting=Cutting(8, special=(1.0,)))
    with pytest.raises(RefusedError, match=r"does not bin its columns into 8, special 1 .contract clause approve"):
        parties.service._node.handle("bank", asked)


def test_auto_answers_trees_without_a_file_and_linear_models_never(parties: Parties):
    config = edit(parties.nodes.configs["telecom"], lambda v: v["policy"].update(approve="auto"))
    parties.restart()
    parties.train()
    linear = edit(parties.other_job(), lambda v: v.update(models=[{"kind": "glm", "params": {"max_bin": 8}}]))
    edit(linear, lambda v: v.update(contract={"min_glm_columns": 1}))
    with pytest.raises(RefusedError, match=r"is not approved .contract clause approve"):
        parties.train(linear)
    edit(config, lambda v: v.update(demo=False))
    with pytest.raises(UsageError, match='"auto" is for simulations, and needs demo = true'):
        load_partner(config)


def test_held_jobs_are_bounded_and_the_oldest_go(tmp_path: Path):
    approvals = Approvals(tmp_path / "approvals.sqlite", "telecom")
    jobs = [f"{k:064x}" for k in range(MOST_HELD + 5)]
    for job in (*jobs, jobs[-1]):
        with pytest.raises(RefusedError, match="is not approved"):
            approvals.require(job)
    with pytest.raises(RefusedError, match="a job without a digest"):
        approvals.require("../" * 20)
    assert {held.job for held in approvals.all()} == set(jobs[5:])
    approvals.close()


def test_approve_by_file_and_nothing_else(parties: Parties):
    with pytest.raises(UsageError, match="no approval of the job"):
        withdraw(parties.partner, "a" * 64)
    with pytest.raises(UsageError, match=r"none\.toml"):
        withdraw(parties.partner, "none.toml")
    with pytest.raises(UsageError, match="is no partner in"):
        job_with("bureau", parties.job_file)
    lacking = edit(parties.other_job(), lambda v: v["parties"]["telecom"].update(columns=["calls", "tower"]))
    with pytest.raises(DataError, match=r"lists its column 'tower', which its table does not have .nearest: 'towers'."):
        parties.approve(lacking)
    assert parties.approvals.all() == []


def test_the_list_shows_everything_within_80_columns_and_nothing_of_a_peer_moves_the_cursor():
    columns = tuple(f"column number {k}" for k in range(60))
    approval = example(name="evil [red]\x1b[2J\nname", features=columns, clauses={"min_rows_per_bin": 20.0})
    lines = list(listed_lines([Listed("a" * 64, "approved", approval=approval), Listed("b" * 64, "held", "2026")]))
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for word in ("a" * 64, "b" * 64, "held", r"evil [red]\x1b[2J\nname", *columns, "min_rows_per_bin 20", "2 run(s)"):
        assert word in text
    assert all(character.isprintable() for line in lines for character in line)
    assert len(headline(approval)) == 2
    assert headline(approval)[0].startswith("approved ")
