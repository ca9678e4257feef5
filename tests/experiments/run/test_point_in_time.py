"""Whole runs at points in time: what a partner's record said on the date, in both alignments, and never later."""

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tomli_w

from bank_node.data import rows as bank_rows
from bank_node.data.rows import open_rows
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.partners import sessions as sessions
from bank_node.scoring import streaming
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from experiments.data.companies import write_companies
from experiments.run.run import run
from experiments.verify.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.algorithms.alignment import BankAlignment, PartnerAlignment, load
from protocol.errors import DataError, UsageError
from protocol.table import Source, Table, TableSpec, read_table
from protocol.transport.in_process import InProcess

TREES = {"kind": "boosting", "params": {"n_estimators": 3, "max_depth": 2, "max_bin": 8, "min_child_weight": 0.0}}
PARTIES = {
    "bank": {"columns": ["turnover", "limit_use"]},
    "suppliers": {"columns": ["arrears", "headcount"], "coverage": 0.8, "strangers": 0.2},
}
DATA = {"source": {"kind": "csv", "path": "t.csv"}, "id": ["company"], "as_of": "as_of", "label": "bad"}


def job_of(folder: Path, **values: Any) -> Path:
    """A scenario file of these values."""
    job = {"schema": 1, "name": "time", "synthetic": True, "models": [TREES], "report": {"bootstrap": 20}}
    job |= {"data": DATA, "parties": PARTIES} | values
    job["run"] = {"transport": "in-process", "engine": "plaintext", **values.get("run", {})}
    path = folder / "job.toml"
    path.write_text(tomli_w.dumps(job), encoding="utf-8")
    return path


def finished(folder: Path, **values: Any) -> dict[str, Any]:
    """The report of a run, checked against its scores."""
    run(job_of(folder, **values), folder / "out", fresh=True, progress=lambda *_: None, overrides={})
    report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert verify(folder / "out") == []
    return report


def table_of(folder: Path, party: str) -> Table:
    """A dated table as its node reads it."""
    path = folder / "out" / "nodes" / party / "data.parquet"
    return read_table(Source(kind="parquet", path=path), TableSpec(id=("company",), as_of="as_of"), party)


def pairs(folder: Path) -> list[tuple[bytes, np.datetime64, bytes, np.datetime64]]:
    """Of each row held: the bank's entity and date, and those of the partner's record that stands behind it."""
    (ours,) = (folder / "out" / "nodes" / "bank" / "state" / "alignments").iterdir()
    (theirs,) = (folder / "out" / "nodes" / "suppliers" / "state" / "alignments").iterdir()
    positions = load(BankAlignment, ours, "bank").positions
    order = load(PartnerAlignment, theirs, "suppliers").order
    bank, partner = table_of(folder, "bank"), table_of(folder, "suppliers")
    assert bank.as_of is not None
    assert partner.as_of is not None
    out = []
    for row in np.flatnonzero(positions >= 0).tolist():
        record = int(order[positions[row]])
        out.append((bank.entities[row], bank.as_of[row], partner.entities[record], partner.as_of[record]))
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_companies(tmp_path / "t.csv")
    return tmp_path


@pytest.mark.parametrize("alignment", ["one-sided", "shared"])
def test_a_row_rests_on_the_record_of_its_own_month(folder, alignment):
    report = finished(folder, run={"alignment": alignment})
    held = pairs(folder)
    assert held
    assert all(entity == whose and at == when for entity, at, whose, when in held)
    rows = list(csv.reader((folder / "t.csv").open()))[1:]
    assert report["data"]["rows"] == len(rows)
    companies = {entity for entity, *_ in held}
    assert len(companies) == 48
    assert len(held) == sum(row[0].encode() in companies for row in rows)
    ids = {line["id"] for line in csv.DictReader((folder / "out" / "scores.csv").open())}
    assert ids == {f"{row[0]}|{row[1]}" for row in rows}


@pytest.mark.parametrize("alignment", ["one-sided", "shared"])
def test_a_partner_that_records_seldom_answers_from_its_latest_record(folder, alignment):
    """The partner's own table has odd days; the bank's rows are of month ends."""
    select = "company AS firm, CAST(as_of AS DATE) - CAST(hash(company || as_of) % 40 AS INTEGER) AS known, arrears"
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT {select} FROM '{folder / 't.csv'}' USING SAMPLE 40% (bernoulli, 7)) TO "
                     f"'{folder / 'p.parquet'}' (FORMAT parquet)")  # fmt: skip
        base.execute(f"COPY (SELECT DISTINCT ON (firm, known) * FROM '{folder / 'p.parquet'}') TO "
                     f"'{folder / 'q.parquet'}' (FORMAT parquet)")  # fmt: skip
    own = {"kind": "parquet", "path": "q.parquet"}
    parties = {
        "bank": PARTIES["bank"],
        "suppliers": {"columns": ["arrears"], "source": own, "id": ["firm"], "as_of": "known"},
    }
    finished(folder, run={"alignment": alignment}, parties=parties)
    (theirs,) = (folder / "out" / "nodes" / "suppliers" / "state" / "alignments").iterdir()
    (ours,) = (folder / "out" / "nodes" / "bank" / "state" / "alignments").iterdir()
    positions, order = load(BankAlignment, ours, "").positions, load(PartnerAlignment, theirs, "").order
    bank = table_of(folder, "bank")
    partner = read_table(
        Source(kind="parquet", path=folder / "q.parquet"), TableSpec(id=("firm",), as_of="known"), "suppliers"
    )
    assert bank.as_of is not None
    assert partner.as_of is not None
    records = list(zip(partner.entities, partner.as_of.tolist(), strict=True))
    stale = 0
    for row, (entity, at) in enumerate(zip(bank.entities, bank.as_of.tolist(), strict=True)):
        fit = [(when, k) for k, (whose, when) in enumerate(records) if whose == entity and when <= at]
        expected = max(fit)[1] if fit else -1
        used = int(order[positions[row]]) if positions[row] >= 0 else -1
        assert used == expected
        stale += bool(fit) and max(fit)[0] < at
    assert stale > 20


def scored(folder: Path, data: Path, alignment: str) -> Path:
    """Score a file with the run's model, as the command does."""
    out = folder / "out"
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models/bank+suppliers/boosting")
    with (
        PartnerService(load_partner(out / "nodes/suppliers/node.toml")) as service,
        BankNode(config, InProcess("bank", {"suppliers": service.serve}), lambda *_: None) as node,
    ):
        if alignment == "shared":
            node.score(model, read_rows(config, model, data), set()).write(folder / "new.csv")
        else:
            with open_rows(config, model, data, folder) as rows:
                node.score_file(model, rows, folder / "new.csv", set())
    return folder / "new.csv"


@pytest.mark.parametrize("alignment", ["one-sided", "shared"])
def test_the_same_rows_get_the_scores_of_their_training(folder, alignment, monkeypatch):
    """Scoring takes id and date from the file, and the partner's record of that date; on a grid, part by part."""
    for module in (bank_rows, sessions, streaming):
        monkeypatch.setattr(module, "PART", 100)
    finished(folder, run={"alignment": alignment})
    lines = list(csv.DictReader(scored(folder, folder / "t.csv", alignment).open()))
    trained = {
        row["id"]: row["score"]
        for row in csv.DictReader((folder / "out" / "scores.csv").open())
        if row["rung"] == "bank+suppliers"
    }
    assert {row["id"]: row["score"] for row in lines} == trained
    assert {row["parties_used"] for row in lines} == {"bank", "bank|suppliers"}


def test_rows_to_be_scored_are_refused_where_their_dates_are_wrong(folder):
    finished(folder)
    heading, first, *_ = (folder / "t.csv").read_text(encoding="utf-8").splitlines()
    company, _, *rest = first.split(",")
    wrong = {
        "1 rows dated outside of 2023-01-31": ["2023-01-30"],
        "1 further rows of an id in one month": ["2023-03-31", "2023-04-02"],
        "'as_of' of new_rows.csv is not a date": ["soon"],
        "1 duplicate id in new_rows.csv, at row 2": ["2023-03-31", "2023-03-31"],
    }
    for sentence, dates in wrong.items():
        lines = [heading, *(",".join((company, date, *rest)) for date in dates)]
        (folder / "new_rows.csv").write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(DataError, match=sentence):
            scored(folder, folder / "new_rows.csv", "one-sided")


def test_a_split_by_time_judges_out_of_time_and_in_it_from_one_training(folder):
    split = {"kind": "time", "test": 0.25, "embargo": 40, "in_time": 0.2}
    report = finished(folder, split=split)
    with (folder / "out" / "scores.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["rung"] == "bank"]
    dates = {part: [x["id"].split("|")[1] for x in lines if x["part"] == part] for part in {x["part"] for x in lines}}
    assert set(dates) == {"train", "in_time", "embargo", "test"}
    assert max(dates["train"] + dates["in_time"]) == "2023-08-31"
    assert set(dates["embargo"]) == {"2023-09-30"}
    assert min(dates["test"]) == "2023-10-31"
    counts = {part: report["data"][part] for part in ("train", "test", "in_time", "embargo")}
    assert counts == {part: len(found) for part, found in dates.items()}
    for rung in report["rungs"]:
        assert rung["in_time"]["metrics"].keys() == rung["metrics"].keys()
        assert rung["in_time"]["metrics"]["auc"] != rung["metrics"]["auc"]
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Out of time, and in it" in page
    assert "跨时间（OOT）与时间内（INT）检验" in page


def test_a_figure_in_time_that_was_changed_is_found(folder):
    finished(folder, split={"kind": "time", "in_time": 0.2})
    path = folder / "out" / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["rungs"][1]["in_time"]["metrics"]["ks"]["value"] += 1e-6
    path.write_text(json.dumps(report), encoding="utf-8")
    found = verify(folder / "out")
    assert any("for ks in time of rung 'bank+suppliers'" in sentence for sentence in found)


def test_an_embargo_needs_a_split_by_time(folder):
    with pytest.raises(UsageError, match=r"split\.embargo belongs"):
        finished(folder, split={"kind": "random", "embargo": 3})


def test_dealt_dates_make_a_grid(folder):
    finished(folder)
    node = (folder / "out" / "nodes" / "suppliers" / "node.toml").read_text()
    assert 'period = "month"' in node
    assert "first = 2023-01-31" in node
    assert "last = 2023-12-31" in node


def test_a_record_after_the_snapshot_is_refused(folder):
    data = DATA | {"source": DATA["source"] | {"snapshot": date(2023, 11, 30)}}
    with pytest.raises(DataError, match="dated after its snapshot of 2023-11-30") as caught:
        finished(folder, data=data)
    assert caught.value.exit_code == 3
    assert not (folder / "out").exists()


def test_a_snapshot_that_a_parquet_file_declares_counts(folder):
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT * FROM '{folder / 't.csv'}') TO '{folder / 't.parquet'}' "
                     "(FORMAT parquet, KV_METADATA {snapshot: '2023-11-30'})")  # fmt: skip
    with pytest.raises(DataError, match="dated after its snapshot of 2023-11-30"):
        finished(folder, data=DATA | {"source": {"kind": "parquet", "path": "t.parquet"}})


def test_a_partner_column_without_a_date_is_refused(folder):
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT company, max(arrears) AS arrears FROM '{folder / 't.csv'}' GROUP BY company) TO "
                     f"'{folder / 'p.csv'}'")  # fmt: skip
    own = {"columns": ["arrears"], "source": {"kind": "csv", "path": "p.csv"}}
    with pytest.raises(DataError, match=r"suppliers: p\.csv has no date column 'as_of'"):
        finished(folder, parties={"bank": PARTIES["bank"], "suppliers": own})


def test_times_of_day_need_a_period_or_shared_alignment(folder):
    text = (folder / "t.csv").read_text().replace("-31,", "-31 12:30:00,")
    (folder / "t.csv").write_text(text)
    with pytest.raises(DataError, match="times of day"):
        finished(folder)
    assert finished(folder, run={"alignment": "shared"})["data"]["parties"]["suppliers"]["matched"] > 0


def test_keys_of_dates_without_as_of_or_without_a_grid_are_refused(folder):
    with pytest.raises(UsageError, match=r"belong to a job with data\.as_of"):
        finished(folder, data={**DATA, "as_of": "", "period": "month"})
    own = {"kind": "csv", "path": "t.csv"}
    parties = {name: {**party, "source": own} for name, party in PARTIES.items()}
    with pytest.raises(UsageError, match=r"needs data\.first and data\.last"):
        finished(folder, data={k: v for k, v in DATA.items() if k != "source"}, parties=parties)
