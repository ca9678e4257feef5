"""report.json: its schema, its figures, its words, and that it is the same every time."""

import csv
import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from bank_node.metrics.ranking import metric_names
from bank_node.record.facts import OfColumn, RunFacts, Text, read_facts, write_facts
from bank_node.report.document import SCHEMA_FILE, Report, json_schema
from bank_node.report.headline import headline_table
from bank_node.report.report import read_report, write_report
from protocol.errors import DataError, UsageError
from tests.bank_node.report.simulated import LADDER, simulate_run, simulated_facts


def _json(folder: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in report.json")

    return json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_committed_schema_is_that_of_the_code() -> None:
    committed = json.loads(files("bank_node.report").joinpath(SCHEMA_FILE).read_text(encoding="utf-8"))
    assert committed == json_schema()


def test_the_report_is_valid_and_a_wrong_one_is_not(run: Path) -> None:
    document, schema = _json(run), json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    del document["headline"]["sentence"]
    with pytest.raises(jsonschema.ValidationError, match="sentence"):
        jsonschema.validate(document, schema)


def test_it_holds_what_outsiders_rely_on(run: Path) -> None:
    document = _json(run)
    assert document["schema"] == 1
    assert [rung["name"] for rung in document["rungs"]] == list(LADDER)
    for rung in document["rungs"]:
        assert list(rung["metrics"]) == list(rung["uplift"]) == metric_names([0.01, 0.05, 0.1])
        assert set(rung["metrics"]["auc"]) == {"value", "low", "high", "level", "method"}
        assert set(rung["uplift"]["auc"]) == {"value", "low", "high", "p", "method"}
        assert set(rung["swap_set"]["0.05"]) == {"in", "out", "bads_in", "bads_out"}
    assert {"metric", "rung", "value", "uplift", "low", "high", "relative", "sentence"} <= set(document["headline"])
    assert document["seeds"]["bootstrap"] == 7


def test_a_partners_column_is_named_by_whoever_knows_its_name_and_else_stays_a_number(tmp_path: Path) -> None:
    said = OfColumn(en="p: column 3 may be the label.", zh="p:column 3 或为标签。", party="p", number=2)
    plain = Text(en="q: column 3 is dropped.", zh="q:column 3 已剔除。")
    simulate_run(tmp_path)
    write_facts(tmp_path, read_facts(tmp_path).model_copy(update={"warnings": [said, plain]}))
    assert read_facts(tmp_path).warnings == [said, plain]
    assert said.named("it's") == Text(en='p: "it\'s" may be the label.', zh='p:"it\'s" 或为标签。')
    assert write_report(tmp_path).warnings[:2] == [said, plain]
    assert _json(tmp_path)["warnings"][:2] == [{"en": said.en, "zh": said.zh}, plain.model_dump()]
    jsonschema.validate(_json(tmp_path), json_schema())


def test_absences_are_held_against_the_rung_itself(run: Path, report: Report) -> None:
    for rung in report.rungs:
        assert set(rung.absence) == (set() if rung.placebo else set(rung.parties) - {"bank"})
        for absence in rung.absence.values():
            assert absence.cost.value == pytest.approx(rung.metrics["auc"].value - absence.without.value, abs=1e-12)
            assert absence.cost.low <= absence.cost.value <= absence.cost.high
            assert (absence.metric, absence.without.method, absence.cost.method) == ("auc", "delong", "paired delong")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "When a partner is absent" in page
    assert "合作方不可用时" in page


def test_a_run_without_absences_says_nothing_of_them(tmp_path: Path) -> None:
    simulate_run(tmp_path, rows=2000, bootstrap=20)
    (tmp_path / "absences.csv").unlink()
    assert not any(rung.absence for rung in write_report(tmp_path).rungs)
    assert "When a partner is absent" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_absences_over_other_rows_are_refused(tmp_path: Path) -> None:
    simulate_run(tmp_path, rows=2000, bootstrap=20)
    lines = (tmp_path / "absences.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "absences.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="not over the test rows"):
        write_report(tmp_path)


def test_two_runs_of_one_job_differ_in_measured_alone(run: Path, tmp_path: Path) -> None:
    measured = simulated_facts().measured.model_copy(update={"retries": 3})
    simulate_run(tmp_path, rows=8000, validation=0.3, measured=measured)
    write_report(tmp_path)
    ours, other = _json(run), _json(tmp_path)
    assert ours.pop("measured") != other.pop("measured")
    assert json.dumps(ours) == json.dumps(other)


def test_the_order_of_the_file_does_not_matter(run: Path, tmp_path: Path) -> None:
    header, *lines = (run / "scores.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "scores.csv").write_text("\n".join([header, *sorted(lines, reverse=True)]) + "\n", encoding="utf-8")
    (tmp_path / "absences.csv").write_bytes((run / "absences.csv").read_bytes())
    write_facts(tmp_path, simulated_facts())
    write_report(tmp_path)
    assert _json(tmp_path) == _json(run)


def test_swap_sets_explain_the_change_in_precision(run: Path, report: Report) -> None:
    """At equal alert counts, bads in less bads out over the alerts is the uplift of precision."""
    for rung in report.rungs:
        for rate, swap in rung.swap_set.items():
            alerts = max(1, math.floor(float(rate) * report.data.test + 1e-9))
            assert swap.in_ == swap.out
            gained = (swap.bads_in - swap.bads_out) / alerts
            assert gained == pytest.approx(rung.uplift[f"precision@{rate}"].value, abs=1e-12)


def test_swap_sets_by_hand(run: Path, report: Report) -> None:
    alerted: dict[str, set[str]] = {}
    with (run / "scores.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    for name in ("bank", "all"):
        ranked = sorted(
            (row for row in rows if row["rung"] == name),
            key=lambda row: (-float(row["score"]), hashlib.sha256(row["id"].encode()).hexdigest()),
        )
        alerted[name] = {row["id"] for row in ranked[: int(0.05 * len(ranked))]}
    bads = {row["id"] for row in rows if row["label"] == "1"}
    entered, left = alerted["all"] - alerted["bank"], alerted["bank"] - alerted["all"]
    swap = next(rung for rung in report.rungs if rung.name == "all").swap_set["0.05"]
    assert (swap.in_, swap.out) == (len(entered), len(left))
    assert (swap.bads_in, swap.bads_out) == (len(entered & bads), len(left & bads))


def test_the_headline_is_precision_at_five_percent_of_the_full_rung(report: Report) -> None:
    headline = report.headline
    full = next(rung for rung in report.rungs if rung.name == "all")
    assert (headline.metric, headline.rung, headline.base) == ("precision@0.05", "all", "bank")
    assert headline.value == full.metrics["precision@0.05"].value
    assert headline.uplift == full.uplift["precision@0.05"].value
    assert headline.relative == pytest.approx(headline.uplift / (headline.value - headline.uplift))
    for part in ("all partners", "precision at an alert rate of 5%", "percentage points", "95% interval"):
        assert part in headline.sentence.en
    assert "预警率 5%" in headline.sentence.zh


def test_without_five_percent_the_middle_rate_is_taken(tmp_path: Path) -> None:
    simulate_run(tmp_path, alert_rates=[0.02, 0.1, 0.2], bootstrap=30)
    assert write_report(tmp_path).headline.metric == "precision@0.1"


def test_no_uplift_is_not_sold_as_one(report: Report) -> None:
    placebo = next(rung for rung in report.rungs if rung.placebo)
    assert not placebo.uplift["precision@0.05"].shown
    assert "is not shown to be real" in placebo.sentence.en
    assert "未得到证实" in placebo.sentence.zh
    assert report.placebo[0].covers_zero
    assert report.warnings == []


@pytest.mark.parametrize(("distance", "words"), [(0.7, "appears to help"), (0.3, "does worse than the base")])
def test_a_placebo_that_does_not_cover_zero_opens_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distance: float, words: str
) -> None:
    monkeypatch.setitem(LADDER, "placebo", (["bank", "telecom"], distance))
    simulate_run(tmp_path, rows=20_000, bootstrap=30)
    report = write_report(tmp_path)
    assert not report.placebo[0].covers_zero
    assert words in report.warnings[0].en
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.index(words) < page.index("<h1>")


def test_a_ladder_of_the_bank_alone(tmp_path: Path) -> None:
    facts = simulated_facts()
    facts = facts.model_copy(update={"rungs": facts.rungs[:1], "bootstrap": 30})
    simulate_run(tmp_path)
    write_facts(tmp_path, facts)
    report = write_report(tmp_path)
    assert report.headline.uplift == 0
    assert report.placebo == []
    assert "uplift" not in report.headline.sentence.en


def test_weights_and_several_models(tmp_path: Path) -> None:
    facts = simulate_run(tmp_path, weight=True, bootstrap=30)
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    again = [line.replace(",boosting,", ",glm,") for line in lines[1:]]
    (tmp_path / "scores.csv").write_text("\n".join([*lines, *again]) + "\n", encoding="utf-8")
    second = [rung.model_copy(update={"model": "glm"}) for rung in facts.rungs]
    write_facts(tmp_path, facts.model_copy(update={"rungs": [*facts.rungs, *second]}))
    report = write_report(tmp_path)
    half = len(report.rungs) // 2
    assert [r.metrics for r in report.rungs[:half]] == [r.metrics for r in report.rungs[half:]]
    assert report.headline.model == "boosting"
    assert report.rungs[0].metrics["auc"].method == "bootstrap percentile"


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"facts\.json is missing"):
        write_report(tmp_path)
    with pytest.raises(UsageError, match=r"report\.json is missing"):
        read_report(tmp_path)
    (tmp_path / "facts.json").write_text('{"schema": 1}', encoding="utf-8")
    with pytest.raises(UsageError, match="at 'name'"):
        write_report(tmp_path)


def test_facts_refuse_what_json_cannot_say() -> None:
    values = simulated_facts().model_dump(by_alias=True)
    values["measured"]["seconds"]["bank"]["total"] = math.nan
    with pytest.raises(ValueError, match="finite"):
        RunFacts.model_validate(values)


@pytest.mark.parametrize("width", [80, 140])
def test_the_headline_table_names_every_rung(report: Report, width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    marked = report.model_copy(update={"synthetic": True, "engine": "plaintext"})
    console.print(headline_table(marked))
    text = console.export_text()
    assert "SYNTHETIC DATA · NOT ENCRYPTED" in text
    for name in LADDER:
        assert name in text
