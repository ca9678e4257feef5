"""`bank-node score` between processes: what a partner or a model does not admit ends the command with its own code."""

import json
from pathlib import Path

import pytest

from tests.e2e.commands import ByHand, Ended, call, edit, refused
from tests.e2e.test_bad_input import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """A bank and a telecom operator, and a model of both."""
    folder = tmp_path_factory.mktemp("score")
    made = call("experiments", "new", "nodes", small(folder), "--out", folder / "run")
    assert made.code == 0, made
    hand = ByHand(folder / "run", tmp_path_factory.mktemp("nodes") / "run")
    with hand.serving():
        ended = hand.train()
    assert ended.code == 0, ended
    return hand


def score(hand: ByHand, out: Path, *options: str) -> Ended:
    model = hand.out / "models" / "bank+telecom" / "boosting"
    return hand.bank("score", "--model", model, "--data", hand.node("bank") / "data.parquet", "--out", out, *options)


def test_revoked_down_and_done_without(trained: ByHand, tmp_path: Path) -> None:
    refused(score(trained, tmp_path / "s.csv"), 6, "telecom", "--absent telecom=missing")
    report = json.loads((trained.out / "report.json").read_text())
    (sha256,) = [rung["model_sha256"] for rung in report["rungs"] if rung["name"] == "bank+telecom"]
    with trained.serving():
        assert score(trained, tmp_path / "s.csv").code == 0
    settings = trained.node("telecom") / "node.toml"
    edit(settings, lambda v: v.setdefault("policy", {}).update(revoked_models=[sha256]))
    with trained.serving():
        refused(score(trained, tmp_path / "t.csv"), 5, "telecom", "has revoked the model", "--absent telecom=missing")
        assert not (tmp_path / "t.csv").exists()
        assert score(trained, tmp_path / "t.csv", "--absent", "telecom=missing").code == 0
    edit(settings, lambda v: v["policy"].pop("revoked_models"))
    assert (tmp_path / "s.csv").read_text() != (tmp_path / "t.csv").read_text()


def test_a_model_of_another_contract(trained: ByHand, tmp_path: Path) -> None:
    settings = trained.node("telecom") / "node.toml"
    edit(settings, lambda v: v.setdefault("contract", {}).update(min_rows_per_bin=40))
    with trained.serving():
        refused(score(trained, tmp_path / "s.csv"), 5, "trained under another contract", "--absent telecom=missing")
