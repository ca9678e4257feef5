"""Flower's deployment engine and `flwr run`: the same models and scores as in one process."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.flower.server_app import Ended, main
from experiments.verify.verify import verify
from tests.e2e.commands import call, edit
from tests.e2e.tables import scenario
from tests.flower.deployed import APP, Site

TELECOM = "nodes/telecom/node.toml"


def short(folder: Path) -> Path:
    """A job of one partner and one tree: a message takes Flower's deployment engine seconds."""
    path = scenario(
        folder,
        run={"ladder": [["bank", "telecom"]]},
        report={"placebo": False, "bootstrap": 50},
        models=[{"kind": "boosting", "params": {"n_estimators": 1, "max_depth": 2, "max_bin": 8}}],  # type: ignore[arg-type]
    )

    def one_partner(values: dict[str, Any]) -> None:
        del values["parties"]["bureau"]

    return edit(path, one_partner)


def result(out: Path) -> tuple[list[str], bytes]:
    """What must be the same everywhere."""
    rungs = json.loads((out / "report.json").read_text())["rungs"]
    return [rung["model_sha256"] for rung in rungs], (out / "scores.csv").read_bytes()


def test_a_superlink_with_tls_and_a_supernode_with_a_key_train_the_model_of_one_process(tmp_path):
    job = short(tmp_path)
    assert call("experiments", "run", job, "--out", tmp_path / "one", "--transport", "in-process").code == 0
    assert call("experiments", "new", "nodes", job, "--out", tmp_path / "dealt").code == 0
    site = Site(tmp_path)
    private, public = site.supernode_keys("telecom.key")
    dealt, out = tmp_path / "dealt", tmp_path / "out"
    with site.superlink("--enable-supernode-auth"):
        site.flwr("supernode", "register", public)
        node = ["--superlink", f"localhost:{site.port}", "--root-certificates", site.ca]
        node += ["--auth-supernode-private-key", private, "--node-config", f'node="{dealt / TELECOM}"']
        with site.process("flower-supernode", *node) as log:
            given = f'job="{dealt / "job.toml"}" node="{dealt / "nodes/bank/node.toml"}" out="{out}"'
            said = site.flwr("run", APP, "--stream", "--run-config", given)
            assert (out / "report.json").exists(), said + log.read_text()[-3000:]
    assert result(out) == result(tmp_path / "one")
    assert result(out)[0]


def test_flwr_run_takes_a_scenario_to_its_report_in_a_simulation(tmp_path):
    job = short(tmp_path)
    assert call("experiments", "run", job, "--out", tmp_path / "one", "--transport", "in-process").code == 0
    site, out = Site(tmp_path), tmp_path / "out"
    with site.superlink("--simulation", tls=False):
        given, federation = f'scenario="{job}" out="{out}"', "num-supernodes=1 client-resources-num-cpus=1"
        said = site.flwr("run", APP, "--stream", "--federation-config", federation, "--run-config", given)
        assert (out / "report.json").exists(), said
    assert result(out) == result(tmp_path / "one")
    assert verify(out) == []


def test_what_ends_a_run_is_one_sentence_with_the_exit_code_that_scripts_know(tmp_path):
    given = {"scenario": "", "job": str(tmp_path / "nowhere.toml"), "node": str(tmp_path / "n.toml"), "out": "/x"}
    with pytest.raises(Ended, match=r"nowhere\.toml.*\(exit code 2\)") as raised:
        main(None, SimpleNamespace(run_config=given))  # type: ignore[arg-type]
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__, "a sentence, and no traceback of ours"
