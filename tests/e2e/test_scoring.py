"""Scoring: the same rows get the training's scores, bit for bit; absent partners are the learnt directions."""

import csv
from pathlib import Path

import duckdb
import pytest

from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.scoring.scoring import Scored, parties_absent, read_rows
from bank_node.settings.config import load_config as load_bank
from experiments.run.run import run
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import DataError, IntegrityError, UsageError
from protocol.transport.in_process import InProcess
from tests.e2e.scored import trained_scores
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("scoring")
    run(scenario(folder), folder / "out", fresh=False, progress=quiet, overrides={"transport": "in-process"})
    return folder / "out"


def score(out: Path, rung: str, data: Path, without: set[str] = frozenset()) -> Scored:  # type: ignore[assignment]
    """Score with the nodes of a run, in this process."""
    config = load_bank(out / "nodes/bank/node.toml")
    model = load_model(out / "models" / rung / "boosting")
    services = {
        p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners if p not in without
    }
    try:
        with BankNode(config, InProcess("bank", {p: s.serve for p, s in services.items()}), quiet) as node:
            return node.score(model, read_rows(config, model, data), without)
    finally:
        for service in services.values():
            service.__exit__()


@pytest.mark.parametrize("rung", ["bank", "bank+telecom", "all"])
def test_the_same_rows_get_the_scores_of_their_training(finished, rung):
    scored = score(finished, rung, finished / "nodes/bank/data.parquet")
    assert dict(zip((i.decode() for i in scored.ids), scored.score.tolist(), strict=True)) == trained_scores(
        finished, rung
    )
    used = set(scored.parties_used)
    assert used <= {"bank", "bank|telecom", "bank|bureau", "bank|telecom|bureau"}
    assert len(used) == {"bank": 1, "bank+telecom": 2, "all": 4}[rung]


def test_new_rows_in_another_file_and_an_absent_partner(finished, tmp_path):
    few = tmp_path / "few.csv"
    source = finished / "nodes/bank/data.parquet"
    duckdb.sql(f"COPY (SELECT * EXCLUDE (bad) FROM '{source}' LIMIT 40) TO '{few}' (HEADER)")
    together = score(finished, "all", few)
    trained = trained_scores(finished, "all")
    assert [trained[i.decode()] for i in together.ids] == together.score.tolist()
    alone = score(finished, "all", few, {"telecom"})
    assert alone.ids == together.ids
    assert (alone.score != together.score).any()
    assert not any("telecom" in used for used in alone.parties_used)
    alone.write(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines()[0] == "id,score,parties_used"


@pytest.mark.parametrize(("rung", "partner"), [("all", "telecom"), ("all", "bureau"), ("bank+telecom", "telecom")])
def test_the_report_tells_what_an_absence_costs_without_asking(finished, rung, partner):
    scored = score(finished, rung, finished / "nodes/bank/data.parquet", {partner})
    alone = dict(zip((i.decode() for i in scored.ids), scored.score.tolist(), strict=True))
    with (finished / "absences.csv").open() as file:
        told = {
            r["id"]: float(r["score"]) for r in csv.DictReader(file) if (r["rung"], r["without"]) == (rung, partner)
        }
    with (finished / "scores.csv").open() as file:
        test = {r["id"] for r in csv.DictReader(file) if r["part"] == "test"}
    assert told == {row: alone[row] for row in test}


def test_what_is_wrong_is_said(finished, tmp_path):
    with pytest.raises(UsageError, match="there is none in"):
        load_model(tmp_path)
    model = load_model(finished / "models/all/boosting")
    with pytest.raises(UsageError, match="is not PARTNER=missing"):
        parties_absent(["nobody=missing"], model.model)
    assert parties_absent(["telecom=missing", "bureau=fail"], model.model) == {"telecom"}
    changed = tmp_path / "model"
    changed.mkdir()
    for name in ("trees.json", "model.json"):
        (changed / name).write_text((finished / "models/all/boosting" / name).read_text())
    text = (changed / "trees.json").read_text()
    (changed / "trees.json").write_text(text.replace('"default_left":true', '"default_left":false', 1))
    with pytest.raises(IntegrityError, match="was changed"):
        load_model(changed)
    (tmp_path / "bare.csv").write_text("id,own b\nx,1\n")
    with pytest.raises(DataError, match="own a"):
        read_rows(load_bank(finished / "nodes/bank/node.toml"), model, tmp_path / "bare.csv")
