"""A signed contract between nodes: it stands for the approval, and without it nothing is answered or used."""

from pathlib import Path

import pytest

import bank_node.cli
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.partners.contracts import contracts_of as contracts_of_bank
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from bank_node.training.refit import refit
from bank_node.training.refit_record import read_record
from experiments.run.prepare import prepare, write_demo
from experiments.run.signing import sign_demonstration
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.approving import withdraw
from partner_node.policy.contracts import contracts_of, end, erase
from protocol.errors import RefusedError
from protocol.files import folder_name
from protocol.job import load_job
from protocol.job.ladder import folder_of
from protocol.node.command import run
from protocol.signing.contract import TERMINATION_TYPE, Ending, seal_ending
from protocol.signing.kept import write_envelope
from protocol.signing.keys import load_contract_key
from protocol.transport.in_process import InProcess
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


class Signed:
    """A job of a bank and a telecom operator, its nodes, and their signed contract."""

    def __init__(self, folder: Path) -> None:
        source = scenario(folder, run={"ladder": [["bank"], ["bank", "telecom"]]}, report={"placebo": False})
        self.out, self.job = folder / "out", load_job(source)
        prepare(self.out, True)
        self.nodes = write_demo(self.job, source, self.out)
        for partner in self.job.partners:  # the approval by file is not what lets the job in
            withdraw(load_partner(self.nodes.configs[partner]), self.job.sha256)
        self.files = sign_demonstration(self.job, self.out / "job.toml", self.nodes, self.out)
        self.bank = load_bank(self.nodes.configs["bank"])
        self.telecom = load_partner(self.nodes.configs["telecom"])

    def run(self, work):
        """Do something with the bank's node, its partners in this process."""
        services = {p: PartnerService(load_partner(self.nodes.configs[p])) for p in self.job.partners}
        try:
            transport = InProcess("bank", {p: service.serve for p, service in services.items()})
            with BankNode(self.bank, transport, quiet) as node:
                return work(node)
        finally:
            for service in services.values():
                service.close()

    def train(self) -> None:
        text = (self.out / "job.toml").read_text(encoding="utf-8")
        self.run(lambda node: node.train(self.job, text, self.out))

    def score(self):
        model = load_model(self.out / "models" / folder_of("bank+telecom") / "boosting")
        rows = read_rows(self.bank, model, self.bank.data.source.path)
        return self.run(lambda node: node.score(model, rows, set()))

    def termination(self, party: str) -> Path:
        opened = next(one for one in contracts_of(self.telecom).all())
        statement = seal_ending(Ending(opened.contract.id, party, "2020-01-01T00:00:00+00:00"), TERMINATION_TYPE)
        key = load_contract_key(self.out / "contract_keys" / folder_name(party) / "contract_key.pem")
        write_envelope(self.out / "termination.json", statement.signed(key))
        return self.out / "termination.json"


@pytest.fixture
def signed(tmp_path):
    return Signed(tmp_path)


def test_a_contract_stands_for_the_approval_until_it_is_ended(signed):
    signed.train()
    before = signed.score()
    assert len(before.score) > 0
    end(signed.telecom, signed.termination("telecom"))
    with pytest.raises(RefusedError, match="telecom: the contract with bank ended at") as refused:
        signed.score()
    assert refused.value.exit_code == 5
    with pytest.raises(RefusedError, match="telecom: the contract with bank ended at"):
        signed.train()


def test_after_the_end_the_bank_itself_refuses_what_needs_no_partner(signed):
    signed.train()
    contracts_of_bank(signed.bank).end(signed.termination("bank"))
    with pytest.raises(RefusedError, match="bank: the contract with telecom ended at"):
        signed.score()
    with pytest.raises(RefusedError, match="bank: the contract with telecom ended at"):
        refit(signed.bank, read_record(signed.out, "bank"), {}, quiet)


def test_withdrawing_erases_and_keeps_the_ledger(signed):
    signed.train()
    path = signed.termination("telecom")
    end(signed.telecom, path)
    contracts_of_bank(signed.bank).end(path)
    contract = next(one for one in contracts_of(signed.telecom).all()).contract
    assert {"pools", "layouts", "alignments"} <= set(erase(signed.telecom, contract))
    state = signed.telecom.state
    assert not (state / "pools").exists()
    assert (state / "ledger.sqlite").exists()


def test_a_partner_that_requires_a_contract_answers_nothing_but_greetings_without_one(signed):
    for path in (signed.telecom.state / "contracts").rglob("*.json"):
        path.unlink()
    with pytest.raises(RefusedError, match="telecom: no contract with bank is installed, and one is required"):
        signed.train()


def test_the_clauses_are_the_contracts(signed):
    contract = next(one for one in contracts_of(signed.telecom).all()).contract
    assert contracts_of(signed.telecom).clauses("bank", signed.telecom.contract) == contract.clauses
    assert contract.approval.features == ()
    text = signed.files["telecom"].read_text()
    assert "salt" not in text


def test_the_commands_say_whether_a_contract_holds(signed, capsys):
    path, config = str(signed.files["telecom"]), str(signed.nodes.configs["bank"])
    assert run(bank_node.cli.verbs, "bank-node", ["contract", "verify", path, "--config", config]) == 0
    assert run(bank_node.cli.verbs, "bank-node", ["contract", "list", "--config", config]) == 0
    assert "in force" in capsys.readouterr().out
    contracts_of_bank(signed.bank).end(signed.termination("telecom"))
    assert run(bank_node.cli.verbs, "bank-node", ["contract", "list", "--config", config, "--json"]) == 0
    assert '"state": "over"' in capsys.readouterr().out
