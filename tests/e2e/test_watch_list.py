"""A run with a validation part: its models give probabilities of default, and score new rows by them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from bank_node.config import load_config as load_bank
from bank_node.models.calibration import pd_of
from bank_node.models.folder import load_model
from bank_node.models.show import summary
from bank_node.node import BankNode
from bank_node.rows import open_rows
from experiments.run import run
from experiments.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.service import PartnerService
from protocol.transport.in_process import InProcess
from tests.e2e.tables import scenario

BANDS = {"rule": "capacity", "red": 0.1, "amber": 0.2}


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("watch")
    path = scenario(folder, 900, split={"validation": 0.3}, bands=BANDS, run={"transport": "in-process"})
    run(path, folder / "out", fresh=False, progress=quiet, overrides={})
    return folder / "out"


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def score(out: Path, target: Path) -> list[dict[str, str]]:
    """The bank's own rows through the full rung's model."""
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models/all/boosting")
    services = {p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners}
    try:
        with (
            open_rows(config, model.trees, out / "nodes/bank/data.parquet", target.parent) as rows,
            BankNode(config, InProcess("bank", {p: s.serve for p, s in services.items()}), quiet) as node,
        ):
            node.score_file(model, rows, target, set())
    finally:
        for service in services.values():
            service.__exit__()
    return lines(target)


def test_a_run_with_a_validation_part_verifies(finished):
    assert verify(finished) == []


def test_scores_come_with_the_models_own_probability(finished, tmp_path):
    scored = score(finished, tmp_path / "scored.csv")
    assert list(scored[0]) == ["id", "score", "parties_used", "pd"]
    trained = {r["id"]: float(r["score"]) for r in lines(finished / "scores.csv") if r["rung"] == "all"}
    assert {r["id"]: float(r["score"]) for r in scored} == trained
    calibration = load_model(finished / "models/all/boosting").about.calibration
    assert calibration
    pds = pd_of(calibration, np.array([float(r["score"]) for r in scored]))
    assert [float(r["pd"]) for r in scored] == pds.tolist()
    assert 0 < pds.min() < pds.max() < 1


def test_the_model_keeps_the_cut_offs_of_the_report(finished):
    for rung in json.loads((finished / "report.json").read_text())["rungs"]:
        bands = load_model(finished / "models" / rung["name"] / "boosting").about.bands
        if rung["placebo"]:
            assert bands is UNSET
        else:
            assert bands
            assert (bands.red, bands.amber) == (rung["bands"]["red"], rung["bands"]["amber"])


def test_the_model_tells_its_map(finished):
    model = load_model(finished / "models/all/boosting")
    told = summary(model)["calibration"]
    rung = next(r for r in json.loads((finished / "report.json").read_text())["rungs"] if r["name"] == "all")
    assert told["method"] == rung["calibration"]["method"]
    assert told["rows"] == rung["calibration"]["rows"] == 270
