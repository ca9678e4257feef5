"""One job on Flower's simulation engine and over gRPC: the same models, scores and decrypted answers.

Ray is told of a cluster that does not answer, as by one that ran on this machine: the simulation starts its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bank_node.node.connect import connected
from bank_node.settings.config import load_config as load_bank
from experiments.flower.simulation import simulate
from experiments.run.nodes import Nodes
from experiments.run.prepare import prepare, write_parties
from partner_node.config import load_config
from partner_node.node.service import PartnerService
from protocol.he.plan import Packing
from protocol.identity import load_identity
from protocol.job import Job, load_job
from protocol.messages import I64
from protocol.transport.over_grpc import serve_grpc
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


def over_flower(job: Job, nodes: Nodes, out: Path) -> None:
    """The bank in this process, partners in Ray's workers."""
    simulate(nodes.configs[job.bank], out, quiet)


def over_grpc(job: Job, nodes: Nodes, out: Path) -> None:
    """The bank in this thread, partners behind ports of this process, mutual TLS between them."""
    with ExitStack() as stack:
        for partner in job.partners:
            config = load_config(nodes.configs[partner])
            service = stack.enter_context(PartnerService(config))
            identity = load_identity(config.identity, partner, demo=True)
            stack.callback(serve_grpc(config.listen, identity, service.serve, peers=[job.bank]).stop)
        node = stack.enter_context(connected(load_bank(nodes.configs[job.bank]), quiet))
        node.train(job, (out / "job.toml").read_text(), out)


def decrypted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each answer is read from now on, by the digest of its sums, noise included.

    The random bits above a sum are drawn for its hint, which is new in each run.
    """
    seen: Counter[str] = Counter()
    read = Packing.split

    def spy(self: Packing, sums: I64) -> I64:
        values = read(self, sums)
        seen[hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()] += 1
        return values

    monkeypatch.setattr(Packing, "split", spy)
    return seen


Run = Callable[[Job, Nodes, Path], None]


def outcome(folder: Path, run: Run) -> dict[str, Any]:
    """What a run of one job leaves."""
    folder.mkdir()
    written = scenario(folder, rows=1500)
    job, out = load_job(written), folder / "out"
    prepare(out, True)
    _, nodes = write_parties(job, written, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "127.0.0.1:9")
        answers = decrypted(patch)
        run(job, nodes, out)
    rungs = json.loads((out / "facts.json").read_text())["rungs"]
    return {"scores": (out / "scores.csv").read_bytes(), "models": {r["name"]: r["model_sha256"] for r in rungs},
            "answers": answers}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    return outcome(folder / "flower", over_flower), outcome(folder / "grpc", over_grpc)


def test_models_are_the_same(outcomes):
    flower, grpc = outcomes
    assert len(set(flower["models"].values())) == 5
    assert flower["models"] == grpc["models"]


def test_scores_are_the_same_bytes(outcomes):
    flower, grpc = outcomes
    assert flower["scores"].count(b"\n") > 1000
    assert flower["scores"] == grpc["scores"]


def test_every_decrypted_answer_is_the_same(outcomes):
    flower, grpc = outcomes
    assert sum(flower["answers"].values()) > 20
    assert flower["answers"] == grpc["answers"]
