"""The Python API on real nodes: what was tried in one process runs unchanged over mutual TLS."""

import csv
from pathlib import Path

import duckdb
import numpy as np
import pytest

from bank_node import FederatedBooster, Federation
from protocol.errors import RefusedError, TransportError
from protocol.job import load_job
from tests.e2e.commands import ByHand, call
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
    job = booster.job_file(federation, None, tmp_path / "fit.toml")
    assert call("partner_node", "approve", job, "--config", hand.node("telecom") / "node.toml").code == 0
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


def test_a_fit_waits_until_the_partner_has_approved_its_job_file(hand: ByHand, tmp_path: Path) -> None:
    """The file holds nothing of the rows and no path of the bank's, and is the job that the fit runs."""
    own = ByHand(hand.folder, tmp_path / "run")
    settings = own.node("telecom") / "node.toml"
    federation = Federation(own.node("bank") / "node.toml", progress=False)
    booster = FederatedBooster(n_estimators=2, max_depth=2, max_bin=8)
    job = booster.job_file(federation, None, tmp_path / "fit.toml")
    assert str(tmp_path) not in job.read_text()
    with own.serving():
        with pytest.raises(RefusedError, match=r"is not approved .* \(`FederatedBooster.job_file` writes the file"):
            booster.fit(federation)
        listed = call("partner_node", "approve", "--list", "--config", settings)
        (held,) = [one["job"] for one in listed.json["jobs"] if one["state"] == "held"]
        assert held == load_job(job).sha256
        assert call("partner_node", "approve", job, "--config", settings).code == 0
        model = booster.fit(federation)
        assert model.score() > 0.5
        with pytest.raises(RefusedError, match="is not approved"):
            FederatedBooster(n_estimators=3, max_depth=2, max_bin=8).fit(federation)
    assert own.bank("train", job, "--out", tmp_path / "out").code == 2, "the job has no rows to test"


@pytest.mark.parametrize("given", ["table", "columns"])
def test_the_job_file_of_rows_is_the_job_of_their_fit(hand: ByHand, tmp_path: Path, given: str) -> None:
    federation = Federation(hand.node("bank") / "node.toml", progress=False)
    path = hand.node("bank") / "data.parquet"
    with duckdb.connect() as base:
        rows = {"table": str(path), "columns": base.sql(f"SELECT * FROM '{path}'").fetchnumpy()}[given]
    booster = FederatedBooster(validation_fraction=0.2, early_stopping_rounds=3)
    first, second = (booster.job_file(federation, rows, tmp_path / f"{k}.toml") for k in range(2))
    assert load_job(first).sha256 == load_job(second).sha256
    with federation.rows(rows) as config:
        assert booster._job(federation, config.data.source).sha256 == load_job(first).sha256
