"""The Python API on real nodes: what was tried in one process runs unchanged over mutual TLS."""

import csv
from pathlib import Path

import numpy as np
import pytest

from bank_node import FederatedBooster, Federation
from protocol.errors import RefusedError, TransportError
from tests.e2e.commands import ByHand, call, edit
from tests.e2e.test_bad_input import small


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """The node folders of a bank and a telecom operator."""
    folder = tmp_path_factory.mktemp("notebook")
    made = call("experiments", "new", "nodes", small(folder), "--out", folder / "run")
    assert made.code == 0, made
    return ByHand(folder / "run", tmp_path_factory.mktemp("nodes") / "run")


def test_a_bank_trains_scores_and_saves_with_its_node_toml(hand: ByHand, tmp_path: Path) -> None:
    federation = Federation(hand.node("bank") / "node.toml", progress=False)
    booster = FederatedBooster(n_estimators=3, max_depth=3, max_bin=8)
    with pytest.raises(TransportError, match="telecom"):
        booster.fit(federation)
    data = hand.node("bank") / "data.parquet"
    with hand.serving():
        model = booster.fit(federation)
        proba = model.predict_proba(data)
        np.testing.assert_array_equal(model.predict_proba(), proba)
        assert model.score() > 0.6
        model.save(tmp_path / "model")
        ended = hand.bank("score", "--model", tmp_path / "model", "--data", data, "--out", tmp_path / "scores.csv")
        assert ended.code == 0, ended
    assert model.model_.importance()["telecom"] > 0
    with (tmp_path / "scores.csv").open(newline="") as file:
        assert sorted(float(row["score"]) for row in csv.DictReader(file)) == sorted(proba[:, 1].tolist())
    told = federation.disclosures("telecom")
    assert "boosting.splits" in {row["kind"] for row in told}
    alone = FederatedBooster.load(tmp_path / "model", federation).predict_proba(data, absent=["telecom"])
    assert (alone != proba).any(), "without the partner, and with its node down"


def test_a_fit_waits_for_a_partner_that_approves_by_hand(hand: ByHand, tmp_path: Path) -> None:
    """It is held under the digest that the partner is shown, which is what it approves: there is no job file."""
    own = ByHand(hand.folder, tmp_path / "run")
    settings = own.node("telecom") / "node.toml"
    edit(settings, lambda values: values.setdefault("policy", {}).update(approve="manual"))
    federation = Federation(own.node("bank") / "node.toml", progress=False)
    booster = FederatedBooster(n_estimators=2, max_depth=2, max_bin=8)
    with own.serving():
        with pytest.raises(RefusedError, match="is not approved"):
            booster.fit(federation)
        listed = call("partner_node", "approve", "--list", "--config", settings)
        (held,) = [job["job"] for job in listed.json["jobs"] if job["state"] == "held"]
        assert call("partner_node", "approve", held, "--config", settings).code == 0
        model = booster.fit(federation)
        assert model.score() > 0.5
        with pytest.raises(RefusedError, match="is not approved"):
            FederatedBooster(n_estimators=3, max_depth=2, max_bin=8).fit(federation)
