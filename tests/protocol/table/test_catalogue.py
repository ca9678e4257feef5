"""The catalogue of a table: coverage, values, information value, drift, and what columns.csv says."""

import json

import duckdb
import numpy as np
import pytest

import partner_node.cli
from protocol.errors import DataError
from protocol.node.command import run
from protocol.table import Source, TableSpec
from protocol.table import catalogue as module
from protocol.table.catalogue import catalogue

SPEC = TableSpec(id=("id",), label="bad")


def write(path, extra="", rows=1000):
    duckdb.sql(
        f"COPY (SELECT i AS id, (i % 5 = 0)::INT AS bad, CASE WHEN i % 4 = 0 THEN NULL ELSE i END AS x, "
        f"CASE WHEN i % 5 = 0 THEN 'a' ELSE 'b' END AS leaks, 'k' || i % 3 AS kind{extra} FROM range({rows}) r(i)) "
        f"TO '{path}' (FORMAT parquet)"
    )
    return Source(kind="parquet", path=path)


def test_what_a_catalogue_says(tmp_path):
    found = {entry.name: entry for entry in catalogue(write(tmp_path / "t.parquet"), SPEC, "bank")}
    assert list(found) == ["x", "leaks", "kind"]
    assert (found["x"].kind, found["x"].coverage, found["x"].distinct) == ("number", 0.75, 750)
    assert (found["leaks"].kind, found["leaks"].distinct) == ("category", 2)
    assert found["leaks"].iv > 5 > 0.1 > found["kind"].iv
    assert {entry.drift for entry in found.values()} == {None}


def test_information_value_by_hand(tmp_path):
    path = tmp_path / "t.parquet"
    duckdb.sql(
        "COPY (SELECT i AS id, (i % 2)::INT AS bad, CASE WHEN i % 2 = 1 THEN i % 4 = 1 ELSE i % 20 = 0 END::INT AS x "
        f"FROM range(2000) r(i)) TO '{path}' (FORMAT parquet)"
    )
    (entry,) = catalogue(Source(kind="parquet", path=path), SPEC, "bank")
    good, bad = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert entry.iv == pytest.approx(float(((good - bad) * np.log(good / bad)).sum()), abs=1e-4)


def test_drift_against_an_earlier_version(tmp_path):
    before = write(tmp_path / "before.parquet")
    same = {e.name: e.drift for e in catalogue(write(tmp_path / "same.parquet", ", 1.0 * i AS new"), SPEC, "p", before)}
    assert (same["x"], same["kind"], same["new"]) == (0.0, 0.0, None)
    moved = tmp_path / "moved.parquet"
    duckdb.sql(
        f"COPY (SELECT id, bad, 3 * x AS x, leaks, 'k9' AS kind FROM '{before.path}' WHERE id > 0 "
        f"UNION ALL SELECT id, bad, x, leaks, 'k1' FROM '{before.path}' WHERE id = 0) TO '{moved}' (FORMAT parquet)"
    )
    changed = {e.name: e.drift for e in catalogue(Source(kind="parquet", path=moved), SPEC, "p", before)}
    assert changed["x"] > 0.25
    assert changed["kind"] > 1


def test_families_and_titles_and_columns_in_batches(tmp_path, monkeypatch):
    source = write(tmp_path / "t.parquet")
    (tmp_path / "columns.csv").write_text("name,family,title\nx,balances,Balance in euros\n", encoding="utf-8")
    monkeypatch.setattr(module, "AT_A_TIME", 1)
    found = {entry.name: entry for entry in catalogue(source, SPEC, "bank")}
    assert (found["x"].family, found["x"].title, found["kind"].family) == ("balances", "Balance in euros", "")
    (tmp_path / "columns.csv").write_text("nme,family\nx,balances\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"columns\.csv has no column 'name'"):
        catalogue(source, SPEC, "bank")


def test_the_verb(tmp_path, capsys):
    write(tmp_path / "t.parquet")
    (tmp_path / "node.toml").write_text(
        'party = "telecom"\nbank = "bank"\n[data]\nsource = { kind = "parquet", path = "t.parquet" }\nid = ["id"]\n'
    )
    config = str(tmp_path / "node.toml")
    assert run(partner_node.cli.verbs, "partner-node", ["catalogue", "--config", config]) == 0
    assert "x: number, 75.0% filled, 750 values" in capsys.readouterr().out
    assert run(partner_node.cli.verbs, "partner-node", ["catalogue", "--config", config, "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [column["name"] for column in last["columns"]] == ["bad", "x", "leaks", "kind"]
