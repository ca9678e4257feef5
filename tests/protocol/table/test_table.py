"""Tables as DuckDB reads them: types, gaps, sentinels, dates, order of id, and what is refused."""

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import DataError, UsageError
from protocol.table import Source, Table, TableSpec, describe, file_sha256, read_table

MISSING = ("", "NA", -98, -1)


def csv_table(folder: Path, text: str, **spec: object) -> Table:
    """A table read from this text."""
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(Source(kind="csv", path=path), TableSpec(**{"id": ("id",), **spec}), "telecom")


def parquet_table(folder: Path, select: str, **spec: object) -> Table:
    """A table read from what a query writes."""
    path = folder / "t.parquet"
    with duckdb.connect() as base:
        base.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return read_table(Source(kind="parquet", path=path), TableSpec(**{"id": ("id",), **spec}), "telecom")


def test_rows_come_in_order_of_id_with_their_values(tmp_path):
    table = csv_table(tmp_path, "id,x,s\n010,1,b\n9,2,a\n10,3,b\n")
    assert table.ids == [b"010", b"10", b"9"]
    numbers, texts = table.columns
    assert numbers.numbers.tolist() == [1, 3, 2]
    assert [texts.categories[c] for c in texts.codes] == ["b", "b", "a"]
    assert table.rows == 3


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_order_of_a_file_does_not_matter(tmp_path, data):
    rows = [f"{k},{k % 3},v{k % 4}" for k in range(12)]
    shuffled = data.draw(st.permutations(rows))
    one, other = (csv_table(tmp_path, "\n".join(["id,x,s", *lines])) for lines in (rows, shuffled))
    assert one.ids == other.ids
    assert one.columns[0].numbers.tolist() == other.columns[0].numbers.tolist()
    assert one.columns[1].codes.tolist() == other.columns[1].codes.tolist()


def test_every_type_becomes_a_number_or_a_category(tmp_path):
    select = """SELECT i AS id, i > 2 AS flag, CAST(i AS DECIMAL(9, 3)) / 4 AS money, CAST(i AS UTINYINT) AS small,
        CAST(i AS HUGEINT) AS wide, 'a' || i AS word, [i] AS list, to_days(CAST(i AS INTEGER)) AS period,
        CAST(CASE WHEN i > 2 THEN 'POINT' ELSE 'INT' END AS ENUM('POINT', 'INT')) AS kind, TIME '10:00:00' AS clock,
        uuid() AS key, 'ab'::BLOB AS bytes, NULL::DOUBLE AS nothing FROM range(5) t(i)"""
    kinds = {column.name: column.kind for column in parquet_table(tmp_path, select).columns}
    numbers = {"flag", "money", "small", "wide", "nothing"}
    assert {name for name, kind in kinds.items() if kind == "number"} == numbers
    assert set(kinds) - numbers == {"word", "list", "period", "kind", "clock", "key", "bytes"}


def test_listed_columns_are_categories_whatever_their_type(tmp_path):
    text = "id,code,day\n1,7,2024-01-01\n2,8,2024-01-02\n"
    code, day = csv_table(tmp_path, text, categorical=("code", "day")).columns
    assert code.categories == ("7", "8")
    assert day.categories == ("2024-01-01", "2024-01-02")


def test_a_date_becomes_days_and_a_moment_its_hour_and_day_of_the_week(tmp_path):
    text = "id,day,moment\n1,2024-01-01,2024-01-01 13:30:00\n2,,2024-01-07 00:10:00\n"
    table = csv_table(tmp_path, text)
    assert [column.name for column in table.columns] == ["day.days", "moment.hour", "moment.weekday"]
    np.testing.assert_array_equal(table.columns[0].numbers, [0, np.nan])
    assert table.columns[1].numbers.tolist() == [13, 0]
    assert table.columns[2].numbers.tolist() == [1, 7]
    spec = TableSpec(id=("id",), columns=("day", "moment"))
    described = describe(Source(kind="csv", path=tmp_path / "t.csv"), spec, "telecom")
    assert list(described.features) == [column.name for column in table.columns]


def test_a_moment_with_a_zone_is_read_in_utc(tmp_path):
    select = (
        "SELECT i AS id, TIMESTAMPTZ '2024-01-01 23:30:00+08' + to_hours(CAST(i AS INTEGER)) AS at FROM range(3) t(i)"
    )
    assert parquet_table(tmp_path, select).columns[0].numbers.tolist() == [15, 16, 17]


def test_sentinels_are_missing_and_counted_by_column(tmp_path):
    text = "id,x,s,t\n1,-98,NA,-1\n2,NA,b,x\n3,-1,,y\n4,5,-98,\n5,0,c,NA\n"
    table = csv_table(tmp_path, text, missing=MISSING)
    x, s, t = table.columns
    np.testing.assert_array_equal(x.numbers, [np.nan, np.nan, np.nan, 5, 0])
    assert s.codes.tolist() == [-1, 0, -1, -1, 1]
    assert t.codes.tolist() == [-1, 0, 1, -1, -1]
    assert table.sentinels == {"x": 3, "s": 2, "t": 2}


def test_sentinels_of_a_parquet_file_too(tmp_path):
    select = (
        "SELECT i AS id, CASE WHEN i < 2 THEN -98.0 ELSE i END AS x, CASE WHEN i = 3 THEN 'NA' ELSE 'k' || i END AS s"
    )
    table = parquet_table(tmp_path, f"{select} FROM range(6) t(i)", missing=MISSING)
    assert table.sentinels == {"x": 2, "s": 1}
    assert np.isnan(table.columns[0].numbers).tolist() == [True, True, False, False, False, False]
    assert table.columns[1].codes.tolist().count(-1) == 1


def test_without_sentinels_a_blank_is_missing_all_the_same(tmp_path):
    table = csv_table(tmp_path, "id,x\n1,\n2,3\n", missing=())
    np.testing.assert_array_equal(table.columns[0].numbers, [np.nan, 3])
    assert table.sentinels == {}


def test_infinite_and_nan_are_missing(tmp_path):
    select = "SELECT i AS id, CASE i WHEN 0 THEN 'inf' WHEN 1 THEN 'nan' ELSE '2' END::DOUBLE AS x FROM range(4) t(i)"
    np.testing.assert_array_equal(parquet_table(tmp_path, select).columns[0].numbers, [np.nan, np.nan, 2, 2])


def test_ids_mean_the_same_in_every_type(tmp_path):
    forms = ["i", "CAST(i AS DOUBLE)", "CAST(i AS HUGEINT)", "CAST(i AS DECIMAL(20, 2))", "' ' || i || '.0'"]
    read = [parquet_table(tmp_path, f"SELECT {form} AS id, i AS x FROM range(12) t(i)").ids for form in forms]
    assert all(ids == read[0] for ids in read)


def test_a_wide_or_dated_id_keeps_every_digit(tmp_path):
    wide = "170141183460469231731687303715884105727"
    table = csv_table(tmp_path, f"id,x\n{wide},1\n{wide[:-1]}6,2\n")
    assert table.ids == [f"{wide[:-1]}6".encode(), wide.encode()]
    dated = parquet_table(tmp_path, "SELECT DATE '2024-01-01' + CAST(i AS INTEGER) AS id, i AS x FROM range(2) t(i)")
    assert dated.ids == [b"2024-01-01", b"2024-01-02"]


def test_ids_of_several_columns_are_joined_and_escaped(tmp_path):
    table = csv_table(tmp_path, "a,b,x\n1,p|q,1\n01,r,2\n", id=("a", "b"))
    assert table.written_ids == [b"01|r", b"1|p\\|q"]
    assert table.ids == [b"01|R", b"1|P\\|Q"]
    assert [column.name for column in table.columns] == ["x"]


def test_names_with_quotes_dots_spaces_and_chinese(tmp_path):
    text = 'id,"q""x","it\'s","x.y, z",年龄 岁\n1,1,2,"a,""b""",中文\n2,2,3,c,英文\n'
    table = csv_table(tmp_path, text)
    assert [column.name for column in table.columns] == ['q"x', "it's", "x.y, z", "年龄 岁"]
    assert table.columns[2].categories == ('a,"b"', "c")


def test_ten_thousand_categories_and_long_texts(tmp_path):
    select = "SELECT i AS id, 'c' || i // 2 AS many, repeat('long ', 2000) || i % 2 AS text FROM range(20000) t(i)"
    many, text = parquet_table(tmp_path, select).columns
    assert len(many.categories) == 10_000
    assert len(text.categories) == 2


def test_special_columns(tmp_path):
    text = "id,y,w,a,t,p,x,spare\n1,1.0,0.5,100,2024-01-02,train,1,9\n2,0.0,2,0,2024-01-01,test,2,9\n"
    spec = {"label": "y", "weight": "w", "amount": "a", "time": "t", "part": "p", "columns": ("x",)}
    table = csv_table(tmp_path, text, **spec)
    assert table.label is not None
    assert table.label.tolist() == [1, 0]
    assert table.weight is not None
    assert table.weight.tolist() == [0.5, 2]
    assert table.amount is not None
    assert table.amount.tolist() == [100, 0]
    assert str(table.time) == "['2024-01-02T00:00:00.000000' '2024-01-01T00:00:00.000000']"
    assert table.part is not None
    assert table.part.tolist() == ["train", "test"]
    assert table.unused == ("spare",)


@pytest.mark.parametrize("pair", ["true,false", "1,0", "1.0,0.0", "Y,N", "Yes,no", " T ,f"])
def test_labels_may_be_booleans_or_floats(tmp_path, pair):
    bad, good = pair.split(",")
    label = csv_table(tmp_path, f"id,y,x\n1,{bad},1\n2,{good},2\n", label="y").label
    assert label is not None
    assert label.tolist() == [1, 0]


def test_a_compressed_file_is_the_same_table(tmp_path):
    text = "id,x\n1,2\n2,3\n"
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    packed = read_table(Source(kind="csv", path=path), TableSpec(id=("id",)), "telecom")
    assert packed.ids == csv_table(tmp_path, text).ids


WRONG = {
    "a missing column": ("id,x\n1,2\n2,3\n", {"columns": ("y",)}, "column 'y' is not in t.csv"),
    "a misspelt column": ("id,income\n1,2\n2,3\n", {"columns": ("incone",)}, "nearest: 'income'"),
    "duplicate ids": ("id,x\nsecret,2\nsecret,3\n", {}, "1 duplicate id in t.csv, at row 2"),
    "a null id": ("id,x\n,2\nb,3\n", {}, "1 null id in t.csv, at row 1"),
    "no rows": ("id,x\n", {}, "has no rows"),
    "nothing that varies": ("id,x\n1,5\n2,5\n", {}, "no usable column"),
    "a label of texts": ("id,y,x\n1,secret,1\n2,b,2\n", {"label": "y"}, "not a number in 2 rows"),
    "a label of twos": ("id,y,x\n1,2,1\n2,0,2\n", {"label": "y"}, "values other than 0 and 1"),
    "a label with gaps": ("id,y,x\n1,,1\n2,0,2\n", {"label": "y"}, "missing or not a number in 1 rows"),
    "a label that is infinite": ("id,y,x\n1,inf,1\n2,0.5,2\n", {"label": "y"}, "not a number in 1 rows"),
    "a label of one class": ("id,y,x\n1,0,1\n2,0,2\n", {"label": "y"}, "is 0 in every row"),
    "a label too large": (
        "id,y,x\n1,3e15,1\n2,0.5,2\n",
        {"label": "y", "task": "regression"},
        "is beyond 1e+15 in 1 rows",
    ),
    "a label that hardly varies": (
        "id,y,x\n1,1e-16,1\n2,0,2\n",
        {"label": "y", "task": "regression"},
        "differs by less than 1e-15",
    ),
    "names of rows alone": (
        "id,x\n" + "\n".join(f"{k},secret {k}" for k in range(60)),
        {},
        "'x' is text of which most values occur once",
    ),
    "a weight below zero": ("id,w,x\n1,-3,1\n2,0,2\n", {"weight": "w"}, "negative in 1 rows"),
    "a weight too large": ("id,w,x\n1,3e15,1\n2,1,2\n", {"weight": "w"}, "is above 1e+15 in 1 rows"),
    "a weight too small": ("id,w,x\n1,3e-16,1\n2,0,2\n", {"weight": "w"}, "is under 1e-15 in 1 rows"),
    "an amount with separators": ('id,a,x\n1,"1;000",1\n2,3,2\n', {"amount": "a"}, "no number or negative in 1 rows"),
    "a label of words and numbers": ("id,y,x\n1,yes,1\n2,0,2\n", {"label": "y"}, "not a number in 1 rows"),
    "no weight at all": ("id,w,x\n1,0,1\n2,0,2\n", {"weight": "w"}, "is 0 in every row"),
    "a time that is none": ("id,t,x\n1,secret,1\n2,b,2\n", {"time": "t"}, "is not a date"),
    "a time with gaps": ("id,t,x\n1,,1\n2,2024-01-01,2\n", {"time": "t"}, "is missing in some rows"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_names_party_thing_and_remedy_and_no_value(tmp_path, case):
    text, spec, sentence = WRONG[case]
    with pytest.raises(DataError) as caught:
        csv_table(tmp_path, text, **spec)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("telecom: ")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_not_the_one_declared_or_no_table(tmp_path):
    spec, path = TableSpec(id=("id",)), tmp_path / "t.csv"
    with pytest.raises(UsageError, match=r"the file t\.csv is not at"):
        read_table(Source(kind="csv", path=path), spec, "telecom")
    path.write_text("id,x\n1,2\n2,3\n")
    assert read_table(Source(kind="csv", path=path, sha256=file_sha256(path, "telecom")), spec, "telecom").rows == 2
    with pytest.raises(DataError, match="another SHA-256"):
        read_table(Source(kind="csv", path=path, sha256="0" * 64), spec, "telecom")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(Source(kind="parquet", path=path), spec, "telecom")
    path.write_bytes("id,n\n1,\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="is neither UTF-8 nor GB18030 text"):
        read_table(Source(kind="csv", path=path), spec, "telecom")
