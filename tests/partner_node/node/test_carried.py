"""A partner whose every message another worker may serve answers as one that stays where it is."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from experiments.run.prepare import prepare, write_parties
from partner_node.config import load_config
from partner_node.node.carried import CACHE, Carried, CarriedPartner
from partner_node.node.service import PartnerService
from protocol.job import load_job
from protocol.messages import Refusal, decode, encode
from protocol.transport.in_process import InProcess
from protocol.wire.envelope import Envelope, Serve
from tests.e2e.tables import scenario

LARGEST_CARRIED = 1000
"""Bytes: names, counts, digests and a seed, and no array."""


class Workers:
    """Some workers of one partner, of which one drawn by chance serves each message; the context goes round."""

    def __init__(self, config: Path, seed: int, count: int, die: float) -> None:
        self._config, self._draws, self._die = load_config(config), random.Random(seed), die
        self._all = [CarriedPartner(self._config) for _ in range(count)]
        self.carried, self.served, self.dead = b"", [0] * count, 0
        self.last: tuple[Envelope, Envelope, bytes] | None = None

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        number = self._draws.randrange(len(self._all))
        if self._draws.random() < self._die:
            self._all[number], self.dead = CarriedPartner(self._config), self.dead + 1
        reply, self.carried = self._all[number].serve(envelope, self.carried)
        assert len(self.carried) < LARGEST_CARRIED
        self.served[number] += 1
        self.last = envelope, reply, self.carried
        return reply

    def by_another(self, envelope: Envelope) -> Envelope:
        """The same, by a worker that has never served."""
        return CarriedPartner(self._config).serve(envelope, self.carried)[0]


Make = Callable[[str, Path], Serve]


def trained(folder: Path, make: Make) -> dict[str, object]:
    """Train a small job; its scores and models."""
    folder.mkdir()
    small = {"kind": "boosting", "params": {"n_estimators": 2, "max_depth": 2, "max_bin": 8}}
    written = scenario(
        folder,
        rows=400,
        models=[small, {"kind": "glm"}, {"kind": "glm", "params": {"encoding": "numeric"}}],
        preparation={"impute": "median", "scale": "robust"},
        report={"bootstrap": 20, "bin_tables": True},
        contract={"min_glm_columns": 1},
    )
    job, out = load_job(written), folder / "out"
    prepare(out, True)
    _, nodes = write_parties(job, written, out)
    serve = {partner: make(partner, nodes.configs[partner]) for partner in job.partners}
    bank = load_bank(nodes.configs[job.bank])
    with BankNode(bank, InProcess(job.bank, serve), lambda phase, done, total: None) as node:
        node.train(job, (out / "job.toml").read_text(), out)
    facts = json.loads((out / "facts.json").read_text())
    return {"scores": (out / "scores.csv").read_bytes(), "models": [rung["model_sha256"] for rung in facts["rungs"]]}


@pytest.fixture(scope="module")
def at_one_place(tmp_path_factory):
    made = {}

    def make(partner: str, config: Path) -> Serve:
        made[partner] = PartnerService(load_config(config))
        return made[partner].serve

    yield trained(tmp_path_factory.mktemp("one") / "run", make)
    for service in made.values():
        service.close()


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A training over three workers a partner, of which some die, and those workers."""
    made: dict[str, Workers] = {}

    def make(partner: str, config: Path) -> Serve:
        made[partner] = Workers(config, seed=len(made), count=3, die=0.1)
        return made[partner].serve

    folder = tmp_path_factory.mktemp("many") / "run"
    return trained(folder, make), made, folder / "out"


def test_models_and_scores_do_not_depend_on_who_serves(at_one_place, carried):
    result, workers, _ = carried
    assert result == at_one_place
    assert len(set(result["models"])) == 13, "trees on five rungs, two linear models on four each"
    assert all(count > 5 for partner in workers.values() for count in partner.served)
    assert all(partner.dead for partner in workers.values())


def test_a_retry_is_answered_identically_by_a_worker_that_never_served(carried):
    _, workers, _ = carried
    for partner in workers.values():
        envelope, reply, _ = partner.last
        assert partner.by_another(envelope) == reply


def test_another_message_under_the_number_of_the_last_is_refused_by_any_worker(carried):
    _, workers, _ = carried
    partner = workers["telecom"]
    envelope, _, _ = partner.last
    other = msgspec.structs.replace(decode(envelope.kind, envelope.body), job="f" * 64)
    changed = Envelope(envelope.session, envelope.sequence, envelope.kind, encode(other))
    reply = partner.by_another(changed)
    assert reply.kind == Refusal.KIND
    assert b"another message under the number of its last one" in reply.body


def test_what_is_carried_is_digests_and_the_rest_lies_in_a_folder_of_the_owners_own(carried):
    _, workers, out = carried
    left = msgspec.json.decode(workers["telecom"].carried, type=Carried)
    assert not left.secret
    assert not left.order, "the alignment is over: its secret and its order are forgotten"
    folder = out / "nodes" / "telecom" / "state" / CACHE
    assert folder.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in folder.iterdir()}
    assert left.reply in names
    assert len([name for name in names if len(name) == 64]) == 2, "the last reply and the bins, and no more"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_a_lost_file_of_the_cache_is_named(carried):
    _, workers, out = carried
    partner = workers["bureau"]
    envelope, _, kept = partner.last
    path = out / "nodes" / "bureau" / "state" / CACHE / msgspec.json.decode(kept, type=Carried).reply
    path.write_bytes(path.read_bytes()[:-1])
    reply = partner.by_another(envelope)
    assert reply.kind == Refusal.KIND
    assert b"has lost a file of its cache" in reply.body
