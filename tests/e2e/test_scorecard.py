"""A scorecard from a job file to points: what is printed, scored, and done with values that no bin was made for."""

import csv
import json
import shutil
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bank_node.families.catalogue import load_model
from bank_node.family.bank_columns import BankColumns
from bank_node.linear.scorecards import Counted, scorecard_of
from bank_node.models.linear import LinearModel
from bank_node.record.scorecard import Scale, Scorecard
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.job import Binning
from tests.e2e.commands import call, edit
from tests.e2e.tables import scenario
from tests.e2e.test_runs import run

PARAMS = {"base_score": 500, "pdo": 40, "base_odds": 10, "min_iv": 0.0, "max_columns": 5}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorecard")
    job = scenario(
        folder, 1200,
        models=[{"kind": "scorecard", "params": PARAMS}],
        binning={"max_bin": 12, "merge": "monotone", "special": [0.25]},
        contract={"min_rows_per_bin": 5, "min_glm_columns": 1},
    )  # fmt: skip
    edit(job, lambda v: v["parties"]["telecom"].update(names={"calls": "Calls a day"}, tell_bins=["calls"]))
    edit(job, lambda v: v["parties"]["bank"]["columns"].append("brand"))
    edit(job, lambda v: v["parties"]["telecom"]["columns"].remove("brand"))
    run(job, folder / "out", "--transport", "in-process")
    return folder / "out"


def rung(out: Path, name: str) -> dict[str, Any]:
    report = json.loads((out / "report.json").read_text())
    found: dict[str, Any] = next(r for r in report["rungs"] if r["name"] == name)
    return found


def scored(out: Path, rung: str, table: Path) -> list[dict[str, str]]:
    target, model = out / "scored.csv", out / "models" / rung / "scorecard"
    config = ("--config", out / "nodes/bank/node.toml")
    ended = call("bank_node", "score", *config, "--model", model, "--data", table, "--out", target)
    assert ended.code == 0, ended.stderr
    with target.open() as file:
        return list(csv.DictReader(file))


def test_the_scale_is_as_asked():
    scale = Scale(base_score=500, pdo=40, base_odds=10, decimals=1)
    odds = np.array([10.0, 20.0, 5.0, 1.0])
    assert scale.points(-np.log(odds)).tolist() == pytest.approx([500, 540, 460, 500 - 40 * log(10) / log(2)], abs=0.05)


def test_points_follow_from_coefficients_and_woe(out):
    found = rung(out, "all")
    card, model = Scorecard.model_validate(found["scorecard"]), load_model(out / "models/all/scorecard")
    assert card == model.scorecard
    n, scale = len(card.characteristics), card.scale
    share = (scale.offset - scale.factor * model.model.intercept / 1e6) / n
    rows = json.loads((out / "report.json").read_text())["data"]["train"]
    for one in card.characteristics:
        assert sum(a.rows for a in one.attributes) == rows
        for a in one.attributes:
            assert abs(a.points - (share - scale.factor * one.coefficient * a.woe)) <= 0.5 + 1e-9
        assert one.monotone in (True, None)
    telecom = [c.name for c in card.characteristics if c.party == "telecom"]
    assert sorted(telecom) == ["Calls a day", "column 2"]
    assert any(a.name == "not held" for c in card.characteristics for a in c.attributes if c.party == "telecom")
    assert {c.name for c in card.characteristics if c.party == "bank"} == {"own a", "own b", "brand"}
    assert rung(out, "placebo")["scorecard"] is None
    page = (out / "report.html").read_text()
    assert "评分卡" in page
    assert "Calls a day" in page


def test_the_bank_scores_in_points_and_attributes_add_up_to_them(out):
    lines = scored(out, "bank", out.parent / "table.csv")
    card = load_model(out / "models/bank/scorecard").scorecard
    assert card is not None
    with (out / "scores.csv").open() as file:
        trained = {r["id"]: r["score"] for r in csv.DictReader(file) if r["rung"] == "bank"}
    assert {r["id"]: r["score"] for r in lines} == trained
    for line in lines:
        good = (1 - float(line["score"])) / float(line["score"])
        assert abs(float(line["points"]) - card.scale.offset - card.scale.factor * log(good)) <= 0.5 + 1e-6
        assert card.least - card.rounding <= float(line["points"]) <= card.most + card.rounding


def test_values_never_seen_get_the_points_of_an_average_customer(out, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("id,own a,own b,brand\nX1,,,a new brand\nX2,1e9,-1e9,brand 3\n")
    first, second = scored(out, "bank", table)
    card = load_model(out / "models/bank/scorecard").scorecard
    assert card is not None
    assert float(first["points"]) == pytest.approx(card.unseen * len(card.characteristics), abs=card.rounding + 2)
    assert 0 < float(second["score"]) < 1


def test_a_column_without_bads_and_a_constant_one_are_no_trouble(tmp_path):
    job = scenario(
        tmp_path, 400,
        models=[{"kind": "scorecard", "params": {"min_iv": 0.0}}],
        binning={"merge": "chi-merge", "max_bins": 3},
        contract={"min_rows_per_bin": 5, "min_glm_columns": 1},
        run={"ladder": [["bank", "telecom"]], "engine": "plaintext"},
        report={"bootstrap": 50, "placebo": False},
    )  # fmt: skip
    text = (tmp_path / "table.csv").read_text().splitlines()
    named = text[0].split(",")
    lines = [dict(zip(named, line.split(","), strict=True)) for line in text[1:]]
    for k, line in enumerate(lines):
        line["flag"], line["same"] = ("rare" if line["bad"] == "0" and k % 4 == 0 else "usual"), "7"
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*named, "flag", "same"])
        writer.writeheader()
        writer.writerows(lines)
    edit(job, lambda v: v["parties"]["bank"]["columns"].extend(["flag", "same"]))
    report = run(job, tmp_path / "out", "--transport", "in-process")
    card = report["rungs"][1]["scorecard"]
    assert "same" in report["data"]["parties"]["bank"]["dropped"]
    assert all(np.isfinite(a["points"]) for c in card["characteristics"] for a in c["attributes"])


def test_the_exported_pmml_gives_the_points_of_the_table(out, tmp_path):
    evaluator = pytest.importorskip("jpmml_evaluator")
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    target = tmp_path / "card.pmml"
    ended = call("bank_node", "model", "export", out / "models/all/scorecard", "--out", target)
    assert ended.code == 0, ended.stderr
    card = load_model(out / "models/all/scorecard").scorecard
    assert card is not None
    reader = evaluator.make_evaluator(str(target)).verify()
    for row in odd_rows():
        found = reader.evaluate({**row, "points of bureau": 7.0})["points"]
        assert found == pytest.approx(expected(card, row) + 7.0)


def odd_rows() -> list[dict[str, Any]]:
    """Rows by chance, and some with values that are special, missing or new."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, Any]] = [
        {"own a": float(a), "own b": float(b), "brand": f"brand {k}", "points of telecom": float(t)}
        for a, b, k, t in zip(*rng.normal(size=(2, 30)), rng.integers(0, 6, 30), rng.integers(90, 200, 30), strict=True)
    ]
    rows[0] |= {"own a": None, "own b": 0.25}
    rows[1] |= {"own a": 0.25, "own b": None, "points of telecom": None}
    rows[2] |= {"brand": "never seen"}
    rows[3] |= {"brand": None}
    return rows


def expected(card: Scorecard, row: dict[str, Any]) -> float:
    """Points of a row, from the table alone."""
    total = 0.0
    for one in card.characteristics:
        if one.party == "bank":
            found = next((a for a in one.attributes if holds(a.name, row[one.name], 0.25)), None)
            total += found.points if found else card.unseen
    if row["points of telecom"] is not None:
        return total + row["points of telecom"]
    away = (
        a.points for c in card.characteristics if c.party == "telecom" for a in c.attributes if a.name == "not held"
    )
    return total + sum(away)


def holds(attribute: str, value: Any, special: float | None = None) -> bool:
    """Whether an attribute, by its name, is a value's. special: the value with a bin of its own."""
    if value is None:
        return attribute == "missing"
    if isinstance(value, str):
        return value in attribute.split(", ")
    if attribute.startswith("= ") or value == special:
        return attribute == f"= {value:g}"
    low, high = -np.inf, np.inf
    if "x < " in attribute:
        high = float(attribute.partition("x < ")[2])
    if "≤ x" in attribute:
        low = float(attribute.partition(" ≤ x")[0])
    if attribute.startswith("x ≥ "):
        low = float(attribute[4:])
    return attribute != "missing" and low <= value < high


def test_a_scorecard_without_a_column_gives_everybody_the_same_points():
    model = LinearModel(
        objective="binary:logistic", parties=("bank",), intercept=-1_000_000, scale=1.0, decimals={}, own=(), theirs=()
    )
    flags = np.zeros(3, dtype=bool)
    counted = Counted(BankColumns((), (), np.zeros((3, 0), dtype=np.uint8)), {}, {}, flags, flags, Binning(), {})
    card = scorecard_of(model, ScorecardParams(), counted)
    everybody = float(card.scale.points(np.array([-1.0]))[0])
    assert (card.least, card.most, card.unseen, card.rounding) == (everybody, everybody, everybody, 0.0)


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selected")
    job = scenario(
        folder, 900,
        models=[{"kind": "scorecard", "params": {"min_iv": 0.0}}],
        binning={"max_bin": 10, "merge": "monotone"},
        selection={"method": "stepwise", "signs": True, "max_missing": 0.1, "p_enter": 1e-9},
        contract={"min_rows_per_bin": 5, "min_glm_columns": 1},
        run={"ladder": [["bank", "telecom"]], "engine": "plaintext"},
        report={"bootstrap": 50, "placebo": False},
    )  # fmt: skip
    held = {"coverage": 1.0, "strangers": 0.0, "names": {"calls": "Calls"}, "tell_bins": ["calls"]}
    edit(job, lambda v: v["parties"]["telecom"].update(held))
    run(job, folder / "out", "--transport", "in-process")
    return folder / "out"


def test_checks_of_columns_are_those_of_the_joined_table(selected):
    found = rung(selected, "bank+telecom")
    considered = {(c["party"], c["column"]): c for c in found["considered"]}
    assert considered["telecom", "column 2"]["left_out"] == "missing"
    kept = {key for key, c in considered.items() if not c["left_out"]}
    assert kept == {(c["party"], c["name"]) for c in found["scorecard"]["characteristics"]}
    assert kept == {("bank", "own a"), ("telecom", "Calls")}
    table = selected.parent / "table.csv"
    values = {r["id"]: r for r in csv.DictReader(table.open())}
    parts = {r["id"]: r["part"] for r in csv.DictReader((selected / "scores.csv").open())}
    bins = {}
    for name, column in (("own a", "own a"), ("Calls", "calls")):
        one = next(c for c in found["scorecard"]["characteristics"] if c["name"] == name)
        numbers = {i: float(v[column]) for i, v in values.items()}
        bins[name] = {
            i: next(k for k, a in enumerate(one["attributes"]) if holds(a["name"], v)) for i, v in numbers.items()
        }
        counts = [np.bincount([b for i, b in bins[name].items() if parts[i] == p]) for p in ("train", "test")]
        shares = [c / c.sum() for c in counts]
        plain = float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
        assert considered[one["party"], name]["stability"] == pytest.approx(plain)
        bins[name] = {i: one["attributes"][b]["woe"] for i, b in bins[name].items()}
    train = [i for i, part in parts.items() if part == "train"]
    plain = np.corrcoef([bins["own a"][i] for i in train], [bins["Calls"][i] for i in train])[0, 1]
    for key, beside in ((("telecom", "Calls"), "bank: own a"), (("bank", "own a"), "telecom: Calls")):
        assert considered[key]["beside"] == beside
        assert considered[key]["correlation"] == pytest.approx(plain, abs=1e-6)
    page = (selected / "report.html").read_text()
    assert "变量筛选及原因" in page
