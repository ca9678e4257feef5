"""Folds in a whole run: each training row is predicted once by a rung, by models that were not fitted on it."""

import csv
import json
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.verify.verify import verify
from protocol.errors import DataError, RefusedError
from protocol.job import Job, ReportSettings, Split
from protocol.job.workload import workload
from tests.experiments.run.test_any_table import LABEL, TREES, report_of, write

SELECT = f"i AS id, {LABEL} AS y, u1 + u3 AS x, u2 AS z"


def values(folder, folds, select=SELECT, repeats=1):
    return {
        "data": {"source": write(folder / "t.csv", select, 600), "id": ["id"], "label": "y"},
        "parties": {"bank": {"columns": ["x"]}, "p": {"columns": ["z"], "coverage": 0.9}},
        "split": {"folds": folds, "repeats": repeats},
        "contract": {"histogram_noise": 1.0, "max_information_share": 1.0},
        "models": [TREES],
    }


def test_each_training_row_is_predicted_once_a_rung(tmp_path):
    report = report_of(tmp_path, **values(tmp_path, 4))
    with (tmp_path / "out/folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "out/scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    trained = {row["id"] for row in scores if row["part"] == "train"}
    assert Counter(row["rung"] for row in rows) == {"bank": len(trained), "bank+p": len(trained)}
    assert {row["id"] for row in rows} == trained
    by_fold = Counter((row["fold"], row["label"]) for row in rows)
    assert max(by_fold[f, "1"] for f in "1234") - min(by_fold[f, "1"] for f in "1234") <= 2
    bank, both = report["rungs"][0], report["rungs"][1]
    assert both["folds"]["auc"]["value"] > bank["folds"]["auc"]["value"]
    assert both["folds_uplift"]["auc"]["value"] > 0
    assert list(both["folds"]) == list(both["metrics"])
    assert report["rungs"][-1]["folds"] == {}, "the placebo has none"
    fitted = {(r["rung"], r["id"]): float(r["score"]) for r in scores}
    apart = [abs(float(r["score"]) - fitted[r["rung"], r["id"]]) for r in rows]
    assert np.mean(np.array(apart) > 0) > 0.9, "other models than the one of the rung"


def test_folds_leave_the_models_of_the_rungs_as_they_are(tmp_path):
    """But for the job's name in the labels, hence the noise: without noise the models are the same."""
    found = []
    for folds in (0, 3):
        folder = tmp_path / f"{folds}"
        folder.mkdir()
        job = values(folder, folds) | {"contract": {"histogram_noise": 0.0, "max_information_share": 1.0}}
        found.append([rung["model_sha256"] for rung in report_of(folder, **job)["rungs"]])
    assert found[0] == found[1]


def test_both_sides_plan_the_sums_of_the_folds_and_of_the_bin_tables(tmp_path):
    job = Job.model_validate(values(tmp_path, 0) | {"schema": 1, "name": "folds"})
    more = {"split": Split(folds=4), "report": ReportSettings(bin_tables=True)}
    again = more | {"split": Split(folds=4, repeats=5)}
    plain, both, five = (workload(j, "p").equations for j in (job, *(job.model_copy(update=m) for m in (more, again))))
    assert both == plain * (2 + 4) // 2 + 2, "two rungs have the partner, and one of them is the placebo"
    assert five == plain * (2 + 4 * 5) // 2 + 2
    assert workload(job.model_copy(update=again), "p").models[0].fits == 2 + 4 * 5, "each leaves its handles"


def test_repeats_predict_each_row_again_and_test_every_two_rungs(tmp_path):
    job = values(tmp_path, 2, repeats=3)
    report = report_of(tmp_path, **job)
    with (tmp_path / "out/folds.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["rung"] == "bank+p"]
    assert set(Counter((row["id"], row["repeat"]) for row in rows).values()) == {1}
    assert Counter(row["repeat"] for row in rows).keys() == {"1", "2", "3"}
    assert {row["fold"] for row in rows} == {"1", "2"}
    auc = {cell: roc_auc_score(*cell_of(rows, cell)) for cell in {(row["repeat"], row["fold"]) for row in rows}}
    assert report["rungs"][1]["folds"]["auc"]["value"] == pytest.approx(np.mean([*auc.values()]))
    (test,) = report["fold_tests"]
    assert (test["rung"], test["other"], test["metric"]) == ("bank+p", "bank", "auc")
    assert test["method"] == "paired mean of 3 x 2 folds, corrected t"
    assert verify(tmp_path / "out") == []
    path = tmp_path / "out/report.json"
    for change, told in (
        (lambda r: r["rungs"][0]["folds"]["brier"].update(value=0.2), "mean brier over folds"),
        (lambda r: r["fold_tests"][0].update(p=test["p"] + 1e-6), "another auc or p of rung 'bank+p' against 'bank'"),
        (lambda r: r["fold_tests"][0].update(p_holm=1.0), "another auc or p of rung 'bank+p' against 'bank'"),
    ):
        changed = deepcopy(report)
        change(changed)
        path.write_text(json.dumps(changed))
        assert any(told in sentence for sentence in verify(tmp_path / "out"))


def test_between_partners_with_tables_of_their_own_folds_that_do_not_fit_are_refused_before_anything(tmp_path, capsys):
    job = values(tmp_path, 5, repeats=4)
    source = job["data"].pop("source")
    for party in job["parties"].values():
        party["source"] = source
    job["parties"]["p"].pop("coverage")
    with pytest.raises(RefusedError, match="max_equations_share") as refused:
        report_of(tmp_path, **job)
    assert "training in 4 x 5 folds asks for" in str(refused.value)
    assert not (tmp_path / "out").exists()
    assert "asks p for" in capsys.readouterr().err


def cell_of(rows, cell):
    found = [row for row in rows if (row["repeat"], row["fold"]) == cell]
    return [int(row["label"]) for row in found], [float(row["score"]) for row in found]


def test_too_few_rows_of_a_class_are_refused(tmp_path):
    rare = "i AS id, CASE WHEN i % 40 = 0 THEN 1 ELSE 0 END AS y, u1 AS x, u2 AS z"
    with pytest.raises(DataError, match="too few rows for 20 folds"):
        report_of(tmp_path, **values(tmp_path, 20, rare))
