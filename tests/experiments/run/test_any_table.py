"""Whole runs over odd tables: whatever a user brings, the report is valid and follows from its scores."""

import json
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
import tomli_w
from sklearn.datasets import load_breast_cancer, load_wine

import bank_node.report
from experiments.run.run import run
from experiments.verify.verify import verify

SCHEMA = json.loads((Path(bank_node.report.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
LABEL = "CAST(u1 + u2 * 0.3 > 0.8 AS INTEGER)"
TREES = {"kind": "boosting", "params": {"n_estimators": 2, "max_depth": 2, "max_bin": 8}}


def write(path: Path, select: str, rows: int) -> dict[str, str]:
    """A table of `rows` rows; i numbers them, u1 to u3 lie between 0 and 1. Returns its source."""
    kind = "parquet" if path.suffix == ".parquet" else "csv"
    draws = ", ".join(f"hash(i * {prime}) % 1000 / 1000.0 AS u{k}" for k, prime in enumerate((7, 13, 17), start=1))
    form = f"FORMAT {kind}" + (", COMPRESSION gzip" if path.suffix == ".gz" else "")
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT {select} FROM (SELECT i, {draws} FROM range({rows}) t(i))) TO '{path}' ({form})")
    return {"kind": kind, "path": path.name}


def report_of(folder: Path, **values: Any) -> dict[str, Any]:
    """The checked report of an in-process run of these values."""
    job = {"schema": 1, "name": "any", "models": [TREES], "report": {"bootstrap": 20}, **values}
    job["run"] = {"transport": "in-process", **values.get("run", {})}
    (folder / "job.toml").write_text(tomli_w.dumps(job), encoding="utf-8")
    run(folder / "job.toml", folder / "out", fresh=False, progress=lambda phase, done, total: None, overrides={})
    report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert verify(folder / "out") == []
    return report


def test_names_with_spaces_quotes_dots_and_chinese(tmp_path):
    select = f"""i AS "客户 ""id""\", {LABEL} AS "bad.1", u1 + u3 AS "年龄 岁", u2 AS "q""x", u3 AS "it's",
        CASE WHEN u2 > 0.5 THEN 'x,"y' ELSE '中文' END AS "x.y, z", 5 AS const"""
    report = report_of(
        tmp_path,
        label_party="招商 银行",
        data={"source": write(tmp_path / "t.csv", select, 500), "id": ['客户 "id"'], "label": "bad.1"},
        parties={
            "a b": {"columns": ['q"x', "it's"], "coverage": 0.8, "strangers": 0.3},
            "招商 银行": {"columns": ["年龄 岁"]},
            "税务局": {"columns": ["x.y, z", "const"]},
        },
    )
    assert [r["name"] for r in report["rungs"]] == ["招商 银行", "招商 银行+a b", "招商 银行+税务局", "all", "placebo"]
    parties = report["data"]["parties"]
    assert (parties["a b"]["held"], parties["a b"]["matched"]) == (550, 400)
    assert parties["税务局"]["dropped"] == ["const"]
    assert report["data"]["unverified"] == ["t.csv"]


def test_a_parquet_file_of_every_type_split_by_time(tmp_path):
    select = f"""i // 3 AS k1, CASE i % 3 WHEN 0 THEN 'a|b' WHEN 1 THEN 'x' ELSE '01' END AS k2, ({LABEL}) = 1 AS y,
        CASE WHEN u3 < 0.2 THEN 0 ELSE u1 + 0.1 END AS w, CAST(u2 * 1000 AS DECIMAL(12, 2)) AS a,
        DATE '2024-01-01' + CAST(u3 * 200 AS INTEGER) AS ts, CAST(u1 * 10 AS DECIMAL(9, 3)) AS dec, u2 > 0.5 AS flag,
        TIMESTAMP '2024-01-01' + to_seconds(CAST(u1 * 1e6 AS INTEGER)) AS at, 'c' || i * 7919 % 10000 AS many,
        CAST(CASE WHEN u2 > 0.3 THEN 'POINT' ELSE 'NA' END AS ENUM('POINT', 'NA')) AS kind,
        CASE WHEN u2 < 0.1 THEN -98 WHEN u2 < 0.2 THEN 'nan'::DOUBLE ELSE u2 END AS f, NULL::DOUBLE AS nothing,
        CASE WHEN i = 5 THEN 1 ELSE 0 END AS near, [i] AS list, to_days(CAST(i AS INTEGER) % 7) AS period"""
    report = report_of(
        tmp_path,
        data={
            "source": write(tmp_path / "t.parquet", select, 2000), "id": ["k1", "k2"], "label": "y", "weight": "w",
            "amount": "a", "time": "ts", "missing": ["", "NA", -98, -1],
        },
        split={"kind": "time", "test": 0.3, "validation": 0.1},
        parties={
            "bank": {"columns": ["dec", "flag", "at"]},
            "p": {"columns": ["many", "kind", "f"], "coverage": 0.9, "strangers": 0.1},
            "q": {"columns": ["nothing", "near", "list", "period"]},
        },
    )  # fmt: skip
    parties = report["data"]["parties"]
    assert set(parties["p"]["sentinels"]) == {"kind", "f"}
    assert parties["q"]["dropped"] == ["nothing", "near", "list"]
    header = (tmp_path / "out" / "scores.csv").read_text().splitlines()[0]
    assert header == "id,rung,model,part,label,score,weight,amount"


def test_a_packed_csv_with_sentinels_padded_ids_and_declared_parts(tmp_path):
    select = f"""printf('%06d', i) AS id, CASE WHEN {LABEL} = 1 THEN '1.0' ELSE '0.0' END AS y,
        CASE WHEN u1 < 0.1 THEN '-98' WHEN u1 < 0.2 THEN 'NA' ELSE CAST(u1 AS VARCHAR) END AS x,
        CASE WHEN u2 < 0.3 THEN '?' ELSE CAST(DATE '2024-01-01' + CAST(u3 * 200 AS INTEGER) AS VARCHAR) END AS day,
        CASE WHEN u2 < 0.2 THEN 'NA' WHEN u2 < 0.3 THEN '-1' ELSE 'k' || CAST(u2 * 5 AS INTEGER) END AS s,
        CASE WHEN u3 < 0.6 THEN 'train' WHEN u3 < 0.8 THEN 'test' ELSE 'validation' END AS part, 3 AS nobody"""
    source = write(tmp_path / "t.csv.gz", select, 800)
    report = report_of(
        tmp_path,
        data={"source": source, "id": ["id"], "label": "y", "missing": ["", "NA", "?", -98, -1]},
        split={"kind": "column", "column": "part"},
        parties={"bank": {"columns": ["x", "day"]}, "p": {"columns": ["s"], "coverage": 0.7}},
    )
    with duckdb.connect() as base:
        count = "SELECT {} FROM read_csv('{}', all_varchar = true)"
        tests = "count(*) FILTER (x IN ('NA', '-98')), count(*) FILTER (day = '?'), count(*) FILTER (s IN ('NA', '-1'))"
        ((x, day, s),) = base.sql(count.format(tests, tmp_path / "t.csv.gz")).fetchall()
    assert report["data"]["parties"]["bank"]["sentinels"] == {"x": x, "day": day}
    assert report["data"]["parties"]["p"]["sentinels"] == {"s": s}
    assert report["data"]["unused"] == ["nobody"]
    assert (tmp_path / "out" / "scores.csv").read_text().splitlines()[1].startswith("000000,")


def test_two_models_a_given_ladder_and_bits_of_a_nodes_rows_alone(tmp_path):
    select = f"CAST(i AS VARCHAR) || '.0' AS id, {LABEL} = 1 AS y, u1 AS x, u2 AS z, u3 AS spare"
    finer = {"params": {"n_estimators": 2, "max_bin": 32}}
    report = report_of(
        tmp_path,
        data={"source": write(tmp_path / "t.csv", select, 400), "id": ["id"], "label": "y"},
        parties={"bank": {"columns": ["x"]}, "p": {"columns": ["z"], "coverage": 0.7}, "q": {"columns": ["spare"]}},
        models=[TREES, finer],
        run={"ladder": [["bank", "p"], ["bank"]], "alignment": "shared", "split_rows": "node"},
    )
    assert [(r["name"], r["model"]) for r in report["rungs"]] == [
        ("bank+p", "boosting"), ("bank", "boosting"), ("placebo", "boosting"),
        ("bank+p", "boosting-2"), ("bank", "boosting-2"),
    ]  # fmt: skip


def test_each_party_brings_its_own_table(tmp_path):
    bank = write(tmp_path / "b.csv", f"i AS id, {LABEL} AS y, u1 AS x, 3 AS more", 700)
    p = write(tmp_path / "p.parquet", "CAST(i + 100 AS DOUBLE) AS key, u2 AS x, u3 AS z, u1 AS other", 900)
    q = write(tmp_path / "q.csv", "i * 2 AS id, CASE WHEN u1 < 0.1 THEN 'NA' ELSE CAST(u2 AS VARCHAR) END AS z", 700)
    report = report_of(
        tmp_path,
        data={"id": ["id"], "label": "y", "missing": ["", "NA"]},
        contract={"max_equations_share": 1.0},
        parties={
            "b": {"columns": ["x"], "source": bank},
            "p": {"columns": ["x", "z"], "source": p, "id": ["key"]},
            "q": {"columns": ["z"], "source": q},
        },
    )
    parties = report["data"]["parties"]
    assert {name: (party["held"], party["matched"]) for name, party in parties.items()} == {
        "b": (700, 700), "p": (900, 600), "q": (700, 350),
    }  # fmt: skip
    assert list(parties["q"]["sentinels"]) == ["z"]
    assert report["data"]["unused"] == ["more", "other"]


def test_parties_called_like_rungs_or_like_paths(tmp_path):
    names = ["x0", "x1", "x2", "x3", "x4", "x5"]
    select = ", ".join(f"u{1 + k % 3} + i % {k + 2} AS {name}" for k, name in enumerate(names))
    parties = ["all", "placebo", "b/c", "b_c", "..", "税务局 " * 20]
    report = report_of(
        tmp_path,
        data={"source": write(tmp_path / "t.csv", f"i AS id, {LABEL} AS y, {select}", 400), "id": ["id"], "label": "y"},
        parties={party: {"columns": [name]} for party, name in zip(parties, names, strict=True)},
        models=[{"params": {"n_estimators": 1, "max_depth": 2, "max_bin": 4}}],
    )
    assert len({rung["name"] for rung in report["rungs"]}) == len(report["rungs"]) == 8
    assert sum(1 for _ in (tmp_path / "out" / "models").glob("*/boosting/trees.json")) == 8


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_small_public_tables(tmp_path, load):
    data = load()
    columns = {"id": range(1000, 1000 + len(data.target)), "bad": (data.target == 0).astype(int)}
    columns |= {name: data.data[:, j] for j, name in enumerate(data.feature_names)}
    names = list(data.feature_names)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    report = report_of(
        tmp_path,
        data={"source": {"kind": "csv", "path": "t.csv"}, "id": ["id"], "label": "bad"},
        parties={"a bank": {"columns": names[:4]}, "a partner": {"columns": names[4:], "coverage": 0.9}},
    )
    first = report["rungs"][0]
    assert first["metrics"]["auc"]["value"] > 0.8
    assert report["data"]["bads"] == int(columns["bad"].sum())


def test_values_and_categories_that_occur_in_the_test_part_alone(tmp_path):
    select = f"""i, {LABEL} AS y, CASE WHEN u3 < 0.3 AND i % 2 = 0 THEN NULL ELSE u1 END AS x,
        CASE WHEN u3 < 0.3 THEN 'new ' || i ELSE 'k' || CAST(u2 * 4 AS INTEGER) END AS c, u2 AS z,
        CASE WHEN u3 < 0.3 THEN 'test' ELSE 'train' END AS part"""
    report = report_of(
        tmp_path,
        data={"source": write(tmp_path / "t.parquet", select, 600), "id": ["i"], "label": "y"},
        split={"kind": "column", "column": "part"},
        parties={"bank": {"columns": ["x", "c"]}, "p": {"columns": ["z"]}},
    )
    assert report["data"]["validation"] == 0


def test_target_leakage_and_names_of_rows_open_the_report(tmp_path):
    select = f"""i AS id, {LABEL} AS y, u3 AS x, 'Mr ' || i AS name, 10 * ({LABEL}) + u2 AS "days late",
        'Ms ' || i AS contact, u2 AS z"""
    report = report_of(
        tmp_path,
        data={"source": write(tmp_path / "t.csv", select, 4000), "id": ["id"], "label": "y"},
        parties={"bank": {"columns": ["x", "name"]}, "p": {"columns": ["z", "contact", "days late"], "coverage": 0.9}},
    )
    said = [w["en"] for w in report["warnings"]]
    (leaking,) = [text for text in said if "leaks the target" in text]
    assert leaking.startswith("p: 'days late' alone ranks the rows at AUC 0.9") or "AUC 1.000" in leaking
    assert [text.split(" is dropped")[0] for text in said if "occur once" in text] == ["bank: 'name'", "p: 'contact'"]
    parties = report["data"]["parties"]
    assert (parties["bank"]["dropped"], parties["p"]["dropped"]) == (["name"], ["contact"])


def test_an_honest_table_raises_no_suspicion(tmp_path):
    select = f"i AS id, {LABEL} AS y, u1 AS x, u2 AS z"
    report = report_of(
        tmp_path,
        data={"source": write(tmp_path / "t.csv", select, 400), "id": ["id"], "label": "y"},
        parties={"bank": {"columns": ["z"]}, "p": {"columns": ["x"], "coverage": 0.5}},
    )
    assert not [w["en"] for w in report["warnings"] if "leaks the target" in w["en"] or "dropped" in w["en"]]
