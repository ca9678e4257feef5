"""Whole runs of labels that are numbers or classes: the report has their figures; verify and score agree with it."""

import csv
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from experiments.verify.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import DataError, UsageError
from protocol.transport.in_process import InProcess
from tests.experiments.run.test_any_table import report_of, write

SIGNAL = "(u1 + u2)"
LABELS = {
    "reg:squarederror": f"1000 * {SIGNAL} + 50 * u3 - 500",
    "count:poisson": f"CAST(floor(4 * {SIGNAL} * u3) AS INTEGER)",
    "reg:tweedie": f"CASE WHEN u3 < 0.4 THEN 0 ELSE 100 * {SIGNAL} + u3 END",
    "multi:softprob": f"CAST(floor(1.499 * {SIGNAL}) AS INTEGER)",
}
PARTIES = {
    "bank": {"columns": ["x", "more"]},
    "p": {"columns": ["z", "other"], "coverage": 0.95, "strangers": 0.1, "monotone": {"z": 1}},
}


def values(folder: Path, objective: str, label: str = "", **params: Any) -> dict[str, Any]:
    """A scenario of 800 weighted rows, under constraints."""
    select = (
        f"i AS id, {label or LABELS[objective]} AS y, u1 AS x, u2 AS z, 0.5 + u3 AS w, i % 7 AS more, i % 5 AS other"
    )
    own = {"num_class": 3} if objective == "multi:softprob" else {}
    own |= {"n_estimators": 8, "max_depth": 3, "max_bin": 8, "learning_rate": 0.4, "objective": objective}
    own |= {"monotone_constraints": {"x": 1}, "interaction_constraints": [["x", "p"], ["more"]]}
    return {
        "data": {"source": write(folder / "t.csv", select, 800), "id": ["id"], "label": "y", "weight": "w"},
        "parties": PARTIES,
        "models": [{"params": own | {"early_stopping_rounds": 4} | params}],
        "split": {"test": 0.3, "validation": 0.2, "folds": 3 if objective == "multi:softprob" else 0},
        "contract": {"histogram_noise": 0.5, "min_rows_per_node": 20},
    }


Run = tuple[str, Path, dict[str, Any]]


@pytest.fixture(scope="module", params=LABELS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run: its objective, the folder of its scenario, its report."""
    folder = tmp_path_factory.mktemp("labels")
    return request.param, folder, report_of(folder, **values(folder, request.param))


def test_a_run_has_the_figures_of_its_label(finished):
    objective, folder, report = finished
    classes = objective == "multi:softprob"
    metrics = ["mlogloss", "accuracy"] if classes else ["rmse", "mae", "deviance"]
    assert report["task"] == ("multiclass" if classes else "regression")
    assert all(list(rung["metrics"]) == list(rung["uplift"]) == metrics for rung in report["rungs"])
    assert all(rung["swap_set"] == {} for rung in report["rungs"])
    alone, both = (report["rungs"][k]["metrics"][metrics[0]]["value"] for k in (0, 1))
    assert both < alone, "the partner helps, and less is better"
    assert report["headline"]["metric"] == report["placebo"][0]["metric"] == metrics[0]
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert not any(word in page for word in ("ROC", "bads", "Alert", "KS "))


def test_the_same_rows_get_the_scores_of_their_training(finished):
    objective, folder, _ = finished
    out = folder / "out"
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models/bank+p/boosting")
    service = PartnerService(load_partner(out / "nodes/p/node.toml"))
    with service, BankNode(config, InProcess("bank", {"p": service.serve}), lambda *_: None) as node:
        node.score(model, read_rows(config, model, out / "nodes/bank/data.parquet"), set()).write(folder / "again.csv")
    names = ["id", "score", *(["score_0", "score_1", "score_2"] if objective == "multi:softprob" else [])]
    again, trained = _scores(folder / "again.csv"), _scores(out / "scores.csv")
    assert [[row[n] for n in names] for row in again] == [
        [row[n] for n in names] for row in trained if row["rung"] == "bank+p"
    ]


def test_the_report_tells_what_an_absence_costs(finished):
    """The scores without the partner are those that `score --absent` gives; the cost counts up where less is better."""
    objective, folder, report = finished
    out, metric = folder / "out", "mlogloss" if objective == "multi:softprob" else "rmse"
    rung = report["rungs"][1]
    found = rung["absence"]["p"]
    assert list(report["rungs"][0]["absence"]) == list(report["rungs"][2]["absence"]) == []
    assert found["metric"] == metric
    assert found["cost"]["value"] == pytest.approx(found["without"]["value"] - rung["metrics"][metric]["value"])
    assert found["cost"]["value"] > 0, "the partner is missed"
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models/bank+p/boosting")
    with BankNode(config, InProcess("bank", {}), lambda *_: None) as node:
        rows = read_rows(config, model, out / "nodes/bank/data.parquet")
        node.score(model, rows, {"p"}).write(folder / "alone.csv")
    alone = {row["id"]: row for row in _scores(folder / "alone.csv")}
    told = [row for row in _scores(out / "absences.csv") if row["without"] == "p"]
    assert len(told) == report["data"]["test"]
    names = [name for name in told[0] if name.startswith("score")]
    assert all(row[name] == alone[row["id"]][name] for row in told for name in names)


def test_directions_hold_in_the_node_and_in_the_model(finished):
    """Predictions never fall as a constrained column grows, other columns being equal."""
    objective, folder, _ = finished
    if objective == "multi:softprob":
        pytest.skip("a class's probability depends on all of the margins")
    out = folder / "out"
    assert "z = 1" in (out / "nodes/p/node.toml").read_text()
    rows = {row["id"]: row for row in _scores(folder / "t.csv")}
    score = {r["id"]: float(r["score"]) for r in _scores(out / "scores.csv") if r["rung"] == "bank+p"}
    held = {str(row[0]) for row in duckdb.sql(f"SELECT id FROM '{out / 'nodes/p/data.parquet'}'").fetchall()}
    groups: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for key in held & set(score):
        row = rows[key]
        groups.setdefault((row["more"], row["other"]), []).append((float(row["x"]), float(row["z"]), score[key]))
    pairs = [(a, b) for group in groups.values() for a in group for b in group if a[0] <= b[0] and a[1] <= b[1]]
    assert len(pairs) > 2000
    assert all(a[2] <= b[2] + 1e-9 for a, b in pairs)
    assert load_model(out / "models/bank+p/boosting").model.importance()["p"] > 0.1


def _scores(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_verify_tells_a_score_from_which_the_figures_do_not_follow(finished):
    objective, folder, _ = finished
    path = folder / "out" / "scores.csv"
    whole = path.read_text()
    lines = whole.splitlines()
    at = next(k for k, line in enumerate(lines) if (",test,2," if objective == "multi:softprob" else ",test,") in line)
    cells = lines[at].split(",")
    column = -1 if objective == "multi:softprob" else 5
    cells[column] = str(float(cells[column]) / 2)
    lines[at] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    found = verify(folder / "out")
    path.write_text(whole)
    assert any(("mlogloss" if column < 0 else "deviance") in sentence for sentence in found)


@pytest.mark.parametrize(
    ("objective", "label", "message"),
    [
        ("binary:logistic", "i % 3", "values other than 0 and 1"),
        ("count:poisson", "i % 3 - 1", "negative"),
        ("multi:softprob", "i % 4", "more classes than num_class"),
        ("multi:softprob", "i % 3 / 2", "no classes"),
        ("reg:squarederror", "7", "the same in every row"),
        ("reg:squarederror", "CASE WHEN i = 9 THEN NULL ELSE u1 END", "missing or not a number in 1 rows"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, objective, label, message):
    with pytest.raises(DataError, match=message):
        report_of(tmp_path, **values(tmp_path, objective, label))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"monotone_constraints": {"z": 1}}, "'z', which is no column of bank"),
        ({"interaction_constraints": [["x", "q"]]}, "'q', which is no column of bank"),
    ],
)
def test_the_bank_constrains_its_own_columns_only(tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        report_of(tmp_path, **values(tmp_path, "reg:squarederror", **change))


def test_models_of_two_kinds_of_label_are_refused(tmp_path):
    job = values(tmp_path, "reg:squarederror")
    job["models"].append({"params": {}})
    with pytest.raises(UsageError, match="not one kind of label"):
        report_of(tmp_path, **job)
