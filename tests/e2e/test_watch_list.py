"""A run with a validation part: its models give probabilities of default, and score new rows by them."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from msgspec import UNSET, structs

from bank_node.data.rows import open_rows
from bank_node.decisions.explaining import explain
from bank_node.decisions.watch_list import HEADER, WatchList
from bank_node.families.catalogue import load_model
from bank_node.models.calibration import log_odds, pd_of
from bank_node.models.folder import ModelFolder
from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from bank_node.trees.scorer import trees_of
from bank_node.trees.show import summary
from experiments.run.run import run
from experiments.verify.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import UsageError
from protocol.transport.in_process import InProcess
from tests.e2e.commands import edit
from tests.e2e.tables import scenario

TREES = [{"kind": "boosting", "params": {"n_estimators": 6, "max_depth": 3, "max_bin": 8}}]
BANDS = {"rule": "capacity", "red": 0.1, "amber": 0.2}


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of trees and a linear model, in which telecom names two of its columns, and bureau none."""
    folder = tmp_path_factory.mktemp("watch")
    names = {"towers": "Cell sites", "brand": "Handset"}
    changes: dict[str, Any] = {
        "data": {"amount": "sum"},
        "split": {"validation": 0.3},
        "bands": BANDS,
        "report": {"segments": ["region", "own a"]},
        "models": [*TREES, {"kind": "glm", "params": {"max_bin": 5}}, {"kind": "scorecard"}],
        "contract": {"min_glm_columns": 1},
    }
    path = edit(scenario(folder, 900, **changes), lambda v: v["parties"]["telecom"].update(names=names))
    with duckdb.connect() as base:
        table = folder / "table.csv"
        more = (
            "1000 + 10 * abs(calls) AS sum, CASE WHEN calls > 0.5 THEN 'east' WHEN calls > -2 THEN 'west' END AS region"
        )
        base.execute(f"COPY (SELECT *, {more} FROM '{table}') TO '{folder}/more.csv' (HEADER)")
        (folder / "more.csv").replace(table)
    run(path, folder / "out", fresh=False, progress=quiet, overrides={"transport": "in-process"})
    return folder / "out"


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def model_of(out: Path) -> ModelFolder:
    return load_model(out / "models/all/boosting")


def full(row: dict[str, str]) -> bool:
    """Whether a line of scores.csv is of the full rung's trees."""
    return (row["rung"], row["model"]) == ("all", "boosting")


def score(out: Path, target: Path, watched: Path | None = None) -> list[dict[str, str]]:
    """The bank's own rows through the full rung's model, and the watch list of them."""
    watch = WatchList(model_of(out)) if watched else None
    score_with(out, model_of(out), watch, target)
    if watch and watched:
        watch.write(watched)
    return lines(target)


def score_with(out: Path, model: ModelFolder, watch: WatchList | None, target: Path) -> None:
    config = load_bank(out / "nodes/bank/node.toml")
    services = {p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners}
    try:
        with (
            open_rows(config, model, out / "nodes/bank/data.parquet", target.parent) as rows,
            BankNode(config, InProcess("bank", {p: s.serve for p, s in services.items()}), quiet) as node,
        ):
            node.score_file(model, rows, target, set(), watch)
    finally:
        for service in services.values():
            service.__exit__()


def test_a_run_with_a_validation_part_verifies(finished):
    assert verify(finished) == []


def test_scores_come_with_the_models_own_probability(finished, tmp_path):
    scored = score(finished, tmp_path / "scored.csv")
    assert list(scored[0]) == ["id", "score", "parties_used", "pd"]
    trained = {r["id"]: float(r["score"]) for r in lines(finished / "scores.csv") if full(r)}
    assert {r["id"]: float(r["score"]) for r in scored} == trained
    calibration = load_model(finished / "models/all/boosting").about.calibration
    assert calibration
    pds = pd_of(calibration, np.array([float(r["score"]) for r in scored]))
    assert [float(r["pd"]) for r in scored] == pds.tolist()
    assert 0 < pds.min() < pds.max() < 1


def test_the_watch_list_is_the_red_and_amber_test_rows_worst_first(finished):
    watched = lines(finished / "watchlist.csv")
    assert tuple(watched[0]) == HEADER
    rung = next(r for r in json.loads((finished / "report.json").read_text())["rungs"] if r["name"] == "all")
    red, amber, _ = rung["bands"]["bands"]
    assert [r["band"] for r in watched] == ["red"] * red["rows"] + ["amber"] * amber["rows"]
    test = {r["id"]: r for r in lines(finished / "scores.csv") if full(r) and r["part"] == "test"}
    assert all(r["score"] == test[r["id"]]["score"] and r["amount"] == test[r["id"]]["amount"] for r in watched)
    scores = [float(r["score"]) for r in watched]
    assert scores == sorted(scores, reverse=True)


def test_reasons_name_what_a_partner_names_and_the_party_alone_for_all_else(finished):
    reasons = [reason for r in lines(finished / "watchlist.csv") for reason in r["reasons"].split("; ")]
    read = [
        re.fullmatch(r"(bank: own [ab]|telecom: (?:Cell sites|Handset)|telecom|bureau) \+\d+\.\d{3}", r)
        for r in reasons
    ]
    assert all(read)
    named = {found[1].split(":")[0] for found in read if found}
    assert named == {"bank", "telecom", "bureau"}
    assert any(found[1] == "telecom" for found in read if found)


@pytest.mark.parametrize("kind", ["boosting", "glm", "scorecard"])
def test_shares_add_up_to_the_margin_of_every_row(finished, tmp_path, kind):
    """Of every row that is scored, partners' answers asked for anew."""
    model, off = load_model(finished / "models/all" / kind), []

    class Adding(WatchList):
        def add(self, ids, score, amount, columns, told):
            found = explain(model, columns, told, len(ids))
            off.append(found.base + found.shares.sum(axis=1) - log_odds(score))

    score_with(finished, model, Adding(model), tmp_path / "added.csv")
    assert len(off[0]) == 900
    assert np.abs(np.concatenate(off)).max() < 1e-9


def test_a_linear_model_gives_reasons_by_own_column_and_by_partner(finished, tmp_path):
    watch = WatchList(load_model(finished / "models/all/glm"))
    score_with(finished, load_model(finished / "models/all/glm"), watch, tmp_path / "scored.csv")
    assert watch.write(tmp_path / "watch.csv") > 100
    reasons = {r.rpartition(" ")[0] for line in lines(tmp_path / "watch.csv") for r in line["reasons"].split("; ")}
    assert reasons == {"bank: own a", "bank: own b", "telecom", "bureau"}


def test_a_scorecard_gives_reasons_in_points_below_the_average_customers(finished, tmp_path):
    model = load_model(finished / "models/all/scorecard")
    assert model.scorecard
    factor, bare = model.scorecard.scale.factor, replace(model, about=structs.replace(model.about, scorecard=UNSET))
    shares = []
    for folder in (model, bare):
        watch = WatchList(folder)
        score_with(finished, model, watch, tmp_path / "scored.csv")
        watch.write(tmp_path / "watch.csv")
        told = [r["reasons"].split("; ")[0].split() for r in lines(tmp_path / "watch.csv")]
        shares.append([float(words[-1]) for words in told])
    assert shares[0] == pytest.approx([factor * share for share in shares[1]], abs=factor * 0.001)
    assert max(shares[0]) > 5


def test_new_rows_get_the_watch_list_of_the_training(finished, tmp_path):
    score(finished, tmp_path / "scored.csv", tmp_path / "watch.csv")
    anew = {r["id"]: r for r in lines(tmp_path / "watch.csv")}
    then = lines(finished / "watchlist.csv")
    assert len(anew) > len(then)
    assert all(anew[r["id"]] == r for r in then)


def test_a_model_without_bands_has_no_watch_list(finished):
    with pytest.raises(UsageError, match="it has no bands"):
        WatchList(load_model(finished / "models/placebo/boosting"))


def test_segments_are_of_any_column_of_the_bank_and_no_features(finished):
    report = json.loads((finished / "report.json").read_text())
    found = next(r for r in report["rungs"] if r["name"] == "all")["segments"]
    assert {g["value"] for g in found["region"]} == {"east", "west", "missing"}
    assert sum(g["rows"] for g in found["own a"]) == report["data"]["test"]
    assert "region" not in report["data"]["unused"]
    assert report["data"]["parties"]["bank"]["columns"] == 2
    assert not any(split.column == "region" for split in trees_of(model_of(finished)).bank_splits)


def test_the_model_keeps_the_cut_offs_of_the_report(finished):
    for rung in json.loads((finished / "report.json").read_text())["rungs"]:
        bands = load_model(finished / "models" / rung["name"] / rung["model"]).about.bands
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
