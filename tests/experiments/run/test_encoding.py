"""`[parties.X.encode]`: events become columns of the table, as of each row's own date, before it is dealt out."""

import json
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tomli_w

from experiments.data.generators import EVENTS, GENERATORS
from experiments.data.own import SCENARIOS
from experiments.run.scenario import concrete, load_scenario
from protocol.errors import DataError, UsageError
from protocol.job import load_job
from tests.e2e.commands import call


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def smaller(folder: Path, name: str = "telecom-events", **encode: Any) -> Path:
    """A scenario of events on few rows and with hand aggregates alone; its first partner's encode changed."""
    values = tomllib.loads((SCENARIOS / f"{name}.toml").read_text(encoding="utf-8"))
    values["data"]["source"]["rows"] = 400
    _, hand, learned = values["parties"]
    del values["parties"][learned], values["run"]["ladder"]
    values["parties"][hand]["encode"] |= {"columns": 0, **encode}
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", EVENTS)
def test_columns_are_named_by_their_party_and_follow_the_rows(name, tmp_path):
    job = load_scenario(smaller(tmp_path, name))
    assert job.data.source
    (partner,) = job.partners
    columns = job.parties[partner].columns
    assert all(column.startswith(f"{partner}: ") for column in columns)
    assert f"{partner}: all count 3m" in columns
    with duckdb.connect() as base:
        rows = base.sql(f"SELECT id, \"{partner}: all count 12m\" FROM '{job.data.source.path}' ORDER BY id").fetchall()
    made = EVENTS[name].events(400, 7)
    late = made["happened"] > np.datetime64("2023-06-30")
    ids, counts = np.unique(made["id"][late], return_counts=True)
    assert len(rows) == 400
    assert {row[0]: row[1] for row in rows if row[1]} == dict(zip(ids.tolist(), counts.tolist(), strict=True))


def test_a_scenario_is_encoded_once_and_what_nodes_read_has_no_encode(tmp_path):
    path = smaller(tmp_path)
    first = concrete(path)
    before = {file: file.stat().st_mtime_ns for file in first.parent.iterdir() if file.suffix == ".parquet"}
    assert len(before) == 3, "events, their columns, and the wider table"
    assert concrete(path) == first
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert "encode" not in str(tomllib.loads(first.read_text(encoding="utf-8"))["parties"])
    other = load_scenario(smaller(tmp_path, windows=[2, 5]))
    assert other.sha256 != load_job(first).sha256
    assert "telecom: all count 5m" in other.parties["telecom"].columns


def test_events_are_the_same_without_signal_and_the_labels_do_not_follow_them():
    population = EVENTS["telecom-events"]
    loud, quiet = population.events(300, 7, 1.0), population.events(300, 7, 0.0)
    assert all(loud[name].tolist() == quiet[name].tolist() for name in loud)
    assert population.table(300, 7, 1.0)["bad"].tolist() != population.table(300, 7, 0.0)["bad"].tolist()


def test_no_event_is_later_than_the_day_that_is_looked_at():
    for population in EVENTS.values():
        assert population.events(300, 7)["happened"].max() < np.datetime64("2024-06-30")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"windws": [1]}, "nearest: 'windows'"),
        ({"events": {"kind": "parquet", "path": "none.parquet"}}, "none.parquet is not at"),
        ({"give": "learned"}, "a number of learned columns"),
        ({"time": "hapened"}, "nearest: 'happened'"),
        ({"edges": {"kind": "generated"}}, "name one of the two"),
    ],
)
def test_a_wrong_encode_is_refused_by_what_is_wrong(tmp_path, change, said):
    with pytest.raises((UsageError, DataError), match=said):
        concrete(smaller(tmp_path, **change))


def test_a_node_does_not_pass_over_an_encode_in_silence(tmp_path):
    path = smaller(tmp_path, events={"kind": "parquet", "path": "events.parquet"})
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values["data"]["source"] = {"kind": "csv", "path": "table.csv"}
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    with pytest.raises(UsageError, match=r"parties.telecom has encode, which `fedwarn run` carries out"):
        load_job(path)


@pytest.mark.parametrize("name", [*EVENTS, "guarantee-chain"])
def test_a_twin_without_signal_differs_in_its_name_and_its_signal_alone(name):
    loud, quiet = (
        tomllib.loads((SCENARIOS / f"{name}{ending}.toml").read_text(encoding="utf-8")) for ending in ("", "-no-signal")
    )
    assert quiet["data"]["source"].pop("strength") == 0
    for values in (loud, quiet):
        del values["name"], values["title"]
    assert loud == quiet


def test_edges_become_columns_of_the_table(tmp_path):
    pytest.importorskip("scipy")
    path = smaller(tmp_path, "guarantee-chain")
    job = load_scenario(path)
    assert job.data.source
    columns = job.parties["register"].columns
    assert {"register: links out", "register: claims of those out", "register: hidden links"} <= set(columns)
    made = GENERATORS["guarantee-chain"].edges(400, 7)  # type: ignore[attr-defined]
    pairs = np.unique(np.stack((made["guarantor"], made["borrower"])).astype(str), axis=1)
    ids, counts = np.unique(pairs[0], return_counts=True)
    with duckdb.connect() as base:
        rows = base.sql(f"SELECT id, \"register: links out\" FROM '{job.data.source.path}'").fetchall()
    assert {row[0]: row[1] for row in rows if row[1]} == dict(zip(ids.tolist(), counts.tolist(), strict=True))


def test_a_scenario_takes_the_columns_that_a_partner_encoded_by_itself(tmp_path):
    """Each party brings its own table: the partner's is what `partner-node encode` wrote."""
    made = EVENTS["telecom-events"]
    for name, columns in (("bank", made.table(600, 7)), ("events", made.events(600, 7))):
        with duckdb.connect() as base:
            base.register("made", columns)
            base.execute(f"COPY made TO '{tmp_path / name}.parquet' (FORMAT parquet)")
    told = ("--id", "id", "--time", "happened", "--type", "type", "--amount", "amount", "--as-of", "2024-06-30")
    out = ("--out", tmp_path / "columns.parquet", "--columns", 0)
    assert call("partner_node", "encode", tmp_path / "events.parquet", *told, *out).code == 0
    with duckdb.connect() as base:
        features = base.sql(f"SELECT * EXCLUDE (id) FROM '{tmp_path / 'columns.parquet'}'").columns
    values = {
        "schema": 1,
        "name": "own-tables",
        "data": {"id": ["id"], "label": "bad"},
        "parties": {
            "bank": {"columns": ["card_use", "housing"], "source": {"kind": "parquet", "path": "bank.parquet"}},
            "telecom": {"columns": features, "source": {"kind": "parquet", "path": "columns.parquet"}},
        },
        "models": [{"kind": "boosting", "params": {"n_estimators": 3, "max_depth": 2, "max_bin": 8}}],
        "run": {"engine": "plaintext", "transport": "in-process"},
        "report": {"bootstrap": 50, "placebo": False},
    }
    (tmp_path / "own.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    done = call("experiments", "run", tmp_path / "own.toml", "--out", tmp_path / "run")
    assert done.code == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["data"]["parties"]["telecom"]["matched"] >= 595
    assert report["data"]["parties"]["telecom"]["columns"] > 60
