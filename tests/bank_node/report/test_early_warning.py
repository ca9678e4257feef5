"""Watching month by month: figures by hand, intervals over customers, and whole runs with windows that must hold."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.metrics.delong import delong
from bank_node.metrics.stability import index_of_counts, stability_index
from bank_node.report.early_warning.alerts import AMBER, GREEN, RED, bands, migration
from bank_node.report.early_warning.figures import parts_of, values_of
from bank_node.report.early_warning.lead import leads
from bank_node.report.early_warning.watched import Watched
from bank_node.training.outcome.watched_rows import months_after
from experiments.data.generators import GENERATORS
from experiments.run.run import run
from experiments.verify.verify import verify
from protocol.errors import DataError, UsageError
from protocol.job import EarlyWarning, load_job

NAT = np.datetime64("NaT")


def dates(*texts: str) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([np.datetime64(text) if text else NAT for text in texts], dtype="datetime64[us]")


@pytest.fixture
def watched() -> Watched:
    """Three customers over two months: A defaults on 31 May after both rows, B never, C on 10 March after one."""
    return Watched(
        customers=3,
        customer=np.array([0, 1, 2, 0, 1]),
        date=dates("2024-01-31", "2024-01-31", "2024-01-31", "2024-02-29", "2024-02-29"),
        event=dates("2024-05-31", "", "2024-03-10", "2024-05-31", ""),
        vintage=dates("", "", "", "", ""),
        amount=np.array([1000.0, 500.0, 2000.0, 800.0, 500.0]),
        reference={},
    )


LABEL = np.array([1, 0, 1, 1, 0], dtype=np.uint8)


def test_alerts_are_given_month_by_month(watched):
    band = bands(watched, np.array([0.1, 0.9, 0.5, 0.2, 0.3]), capacity=0.34)
    assert band.tolist() == [AMBER, RED, AMBER, AMBER, RED]  # one of three rows, one of two, and twice as many after
    wide = bands(watched, np.array([0.1, 0.9, 0.5, 0.2, 0.3]), capacity=0.01)
    assert (wide == band).all()  # at least one alert a month
    assert migration(watched, band) == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert GREEN not in band


def test_figures_by_hand(watched):
    alerted = np.array([True, False, False, True, True])
    lead = leads(watched, alerted)
    assert lead.defaulted.tolist() == [True, False, True]
    assert lead.warned.tolist() == [True, False, False]
    assert lead.first[0] == pytest.approx(121 / (365.25 / 12))
    assert lead.last[0] == pytest.approx(92 / (365.25 / 12))
    assert lead.histogram(12) == [0, 0, 0, 1, *[0] * 9]
    assert lead.histogram(2) == [0, 0, 1]
    settings = EarlyWarning(cost_of_alert=10, loss_given_default=0.5, avoided=0.4)
    found = {k: v[0] for k, v in values_of(parts_of(watched, LABEL, alerted, lead, settings), np.ones((1, 3))).items()}
    assert found == {
        "alerts_per_1000": pytest.approx(600),
        "precision": pytest.approx(2 / 3),
        "capture": pytest.approx(2 / 3),
        "warned": pytest.approx(1 / 2),
        "first_lead_months": pytest.approx(121 / (365.25 / 12)),
        "last_lead_months": pytest.approx(92 / (365.25 / 12)),
        "net_benefit": pytest.approx(0.5 * 0.4 * 1000 - 30),  # A once, at its first alert
    }


def test_an_alert_after_the_default_warns_nobody(watched):
    late = Watched(**{**vars(watched), "event": dates("2024-01-31", "", "2024-03-10", "2024-01-31", "")})
    assert leads(late, np.array([True, False, False, True, False])).warned.tolist() == [False, False, False]


def test_months_later_by_the_calendar():
    found = months_after(dates("2024-01-31", "2024-02-29", "2024-01-15", "2024-12-30"), 1)
    assert found.astype("datetime64[D]").astype(str).tolist() == [
        "2024-03-01",
        "2024-04-01",
        "2024-02-16",
        "2025-01-31",
    ]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rows_that_repeat_a_customer_add_nothing_to_what_is_known(seed):
    draws = np.random.default_rng(seed)
    label = np.concatenate(([0, 0, 1, 1], draws.integers(0, 2, 60))).astype(np.uint8)
    scores = [draws.normal(size=64) + label, draws.normal(size=64)]
    auc, once = delong(label, scores, np.arange(64))
    again, twice = delong(np.tile(label, 2), [np.tile(s, 2) for s in scores], np.tile(np.arange(64), 2))
    np.testing.assert_allclose(again, auc)
    np.testing.assert_allclose(twice, once)
    _, rows = delong(label, scores)
    assert np.abs(np.diag(once) / np.diag(rows) - 1).max() < 0.5  # the same up to the degrees of freedom
    assert delong(np.tile(label, 2), [np.tile(s, 2) for s in scores])[1][0, 0] < 0.7 * once[0, 0]


def test_the_stability_index_by_hand():
    then, now = np.array([50, 50, 0]), np.array([30, 70, 0])
    assert index_of_counts(then, now) == pytest.approx(-0.2 * np.log(0.6) + 0.2 * np.log(1.4))
    assert np.isfinite(index_of_counts(then, np.zeros(3, dtype=np.int64)))
    values = np.arange(100.0)
    assert stability_index(values, values) == 0
    assert stability_index(values, values + 30) > 0.25


def job_of(folder: Path, **values: Any) -> Path:
    job = {
        "schema": 1,
        "name": "watch",
        "synthetic": True,
        "data": {
            "source": {"kind": "csv", "path": "t.csv"},
            "id": ["loan"],
            "as_of": "as_of",
            "label": "bad",
            "amount": "balance",
        },
        "parties": {"bank": {"columns": ["turnover", "limit_use"]}, "suppliers": {"columns": ["late_bills"]}},
        "split": {"kind": "time", "test": 0.4},
        "models": [{"kind": "boosting", "params": {"n_estimators": 10, "max_depth": 2, "max_bin": 8}}],
        "run": {"engine": "plaintext", "transport": "in-process"},
        "report": {"bootstrap": 40},
        "early_warning": {"event": "defaulted_on", "vintage": "opened_on", "cost_of_alert": 200},
    } | values
    path = folder / "job.toml"
    path.write_text(tomli_w.dumps(job), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    table = GENERATORS["watched-loans"].table(300 * 36, 7)
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([table, *zip(*(values.tolist() for values in table.values()), strict=True)])
    run(job_of(folder), folder / "out", fresh=True, progress=lambda *_: None, overrides={})
    return folder


def test_a_run_tells_what_watching_is_worth(finished):
    assert verify(finished / "out") == []
    report = json.loads((finished / "out/report.json").read_text(encoding="utf-8"))
    assert report["dated"]
    assert report["rungs"][0]["metrics"]["auc"]["method"] == "delong over customers"
    assert "over customers" in report["early_warning"]["rungs"][0]["figures"]["capture"]["method"]
    bank, full = (r for r in report["early_warning"]["rungs"] if r["name"] in ("bank", "bank+suppliers"))
    assert full["uplift"]["capture"]["low"] > 0  # bills are late long before the account shows it
    assert full["figures"]["first_lead_months"]["value"] > 1
    assert bank["uplift"]["capture"]["value"] == 0
    in_time = report["rungs"][1]["in_time"]["uplift"]["auc"]["value"]
    told = f"{in_time:+.4f}".replace("-", "−")
    assert f"trained on, the change is {told} (" in report["verdicts"][0]["sentence"]["en"]
    for rung in (bank, full):
        defaulted = sum(rung["lead_histogram"]) + rung["never"]
        assert defaulted == report["early_warning"]["defaulted"] > 10
        assert sum(m["rows"] for m in rung["months"]) == report["data"]["test"]
        assert sum(v["rows"] for v in rung["vintages"]) == report["data"]["test"]
        assert sum(m["caught"] for m in rung["months"]) == sum(v["caught"] for v in rung["vintages"]) > 0
        assert all(m["alerts"] == max(1, int(0.05 * m["rows"])) for m in rung["months"])
    page = (finished / "out/report.html").read_text(encoding="utf-8")
    assert "Early warning, month by month" in page
    assert "逐月预警" in page


def test_a_date_that_was_changed_is_found(finished):
    path = finished / "out/early_warning.csv"
    kept = path.read_text(encoding="utf-8")
    heading, *lines = (line.split(",") for line in kept.splitlines())
    later = [",".join([*line[:3], line[3] and "2031-01-01", line[4]]) for line in lines]
    try:
        path.write_text("\n".join([",".join(heading), *later]) + "\n", encoding="utf-8")
        assert any("early_warning" in sentence for sentence in verify(finished / "out"))
        path.write_text("\n".join(kept.splitlines()[:-5]) + "\n", encoding="utf-8")
        with pytest.raises(DataError, match="not over the test rows"):
            verify(finished / "out")
    finally:
        path.write_text(kept, encoding="utf-8")


def test_labels_that_are_not_what_the_events_say_are_refused(finished, tmp_path):
    (tmp_path / "t.csv").write_bytes((finished / "t.csv").read_bytes())
    watched = {"event": "defaulted_on", "performance": 6}
    with pytest.raises(DataError, match=r"rows whose label is not what 'defaulted_on' says for 6 months"):
        run(
            job_of(tmp_path, early_warning=watched),
            tmp_path / "out",
            fresh=True,
            progress=lambda *_: None,
            overrides={},
        )


def test_settings_that_cannot_be_are_refused(tmp_path):
    undated = {"source": {"kind": "csv", "path": "t.csv"}, "id": ["loan"], "label": "bad"}
    with pytest.raises(UsageError, match=r"month by month, and needs data\.as_of"):
        load_job(job_of(tmp_path, data=undated, split={"test": 0.3}))
    taken = {"bank": {"columns": ["turnover", "defaulted_on"]}, "suppliers": {"columns": ["late_bills"]}}
    with pytest.raises(UsageError, match="event, vintage or offset, no feature"):
        load_job(job_of(tmp_path, parties=taken))
