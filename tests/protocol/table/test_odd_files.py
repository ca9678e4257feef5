"""Files as users have them: other separators, encodings and ways to write numbers; and files that are broken."""

import gzip
import random
from contextlib import suppress

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.table import Source, TableSpec, describe, read_table
from protocol.table.broken_csv import broken_line
from protocol.table.one_file import kind_of

NAMES = ("id", "label", "age", "kind")
ROWS = [(f"C{k:03}", k % 2, k + 0.5, f"k{k % 3}") for k in range(60)]
SPEC = TableSpec(id=("id",), label="label", columns=("age", "kind"))


def lines(separator=",", rows=ROWS):
    return [separator.join(NAMES), *(separator.join(map(str, row)) for row in rows)]


def read(tmp_path, content, name="t.csv", spec=SPEC):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(Source(kind="csv", path=tmp_path / name), spec, "telecom")


def refused(tmp_path, content, name="t.csv"):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, name)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_separators_line_ends_and_byte_order_marks(tmp_path, separator, end, mark):
    table = read(tmp_path, mark + (end.join(lines(separator)) + end).encode())
    assert table.ids[:2] == [b"C000", b"C001"]
    assert table.columns[0].numbers.tolist() == [row[2] for row in ROWS]
    assert table.columns[1].categories == ("k0", "k1", "k2")


def test_decimal_commas_where_fields_are_parted_otherwise(tmp_path):
    table = read(tmp_path, "\n".join(lines(";")).replace(".", ","))
    assert table.columns[0].numbers.tolist() == [row[2] for row in ROWS]


def test_a_quoted_comma_is_a_decimal_comma_by_all_values_of_the_column(tmp_path):
    content = "\n".join([lines()[0], *(f'{i},{y},"{k % 9},5",x' for k, (i, y, _, _) in enumerate(ROWS))])
    assert set(read(tmp_path, content).columns[0].numbers.tolist()) == {k + 0.5 for k in range(9)}
    strict = SPEC.model_copy(update={"numbers": "strict"})
    assert read(tmp_path, content, spec=strict).columns[0].kind == "category"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "gbk", "gb18030"])
def test_other_encodings_are_found_out(tmp_path, encoding):
    content = "\n".join(lines(rows=[(*row[:3], "汽车") for row in ROWS]))
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    table = read(tmp_path, mark + content.encode(encoding))
    assert table.columns[1].categories == ("汽车",)
    assert [note.rule for note in table.reading if not note.column] == ["encoding"]


def test_an_encoding_that_is_not_found_out_is_named_in_a_sentence(tmp_path):
    content = "\n".join(lines(rows=[(*row[:3], "déjà") for row in ROWS])).encode("latin-1")
    assert refused(tmp_path, content) == (
        "telecom: t.csv is neither UTF-8 nor GB18030 text; "
        'name its encoding in the source, such as encoding = "latin-1", or save it as UTF-8.'
    )
    source = Source(kind="csv", path=tmp_path / "t.csv", encoding="latin-1")
    assert read_table(source, SPEC, "telecom").columns[1].categories == ("déjà",)


@pytest.mark.parametrize("line", [2, 31, 61])
@pytest.mark.parametrize(("broken", "fields"), [("SECRET,1,2,3,4", 5), ("SECRET,1", 2), ("SECRET", 1)])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV.GZ"])
def test_a_broken_line_is_named_and_nothing_of_it(tmp_path, line, broken, fields, name):
    content = lines()
    content[line - 1] = broken
    packed = gzip.compress if name.lower().endswith("gz") else bytes
    sentence = refused(tmp_path, packed("\n".join(content).encode()), name)
    said = f"line {line} has {fields} field{'' if fields == 1 else 's'}, its header 4"
    assert sentence == f"telecom: {name} cannot be read: {said}; correct or drop the line."


def test_a_broken_line_far_behind_what_is_sniffed(tmp_path):
    rows = [(f"C{k:06}", k % 2, k, "k") for k in range(120_000)]
    content = lines(rows=rows)
    content[110_000] += ",SECRET"
    assert "line 110001 has 5 fields, its header 4" in refused(tmp_path, "\n".join(content))


def test_lines_are_counted_through_quoted_line_ends(tmp_path):
    content = [lines()[0], *(f'{i},{y},{a},"k\n{y}"' for i, y, a, _ in ROWS), "SECRET,1"]
    (tmp_path / "t.csv").write_text("\n".join(content))
    assert broken_line(tmp_path / "t.csv") == "line 122 has 2 fields, its header 4"
    (tmp_path / "t.csv").write_text("\n".join(content[:-1]))
    assert broken_line(tmp_path / "t.csv") == ""


def test_an_empty_file(tmp_path):
    assert refused(tmp_path, "") == (
        "telecom: t.csv cannot be read: its first line is empty; correct or drop the line."
    )


@pytest.mark.parametrize("first", [2**53, 2**60, 10**25])
def test_wide_ids_keep_all_their_digits(tmp_path, first):
    table = read(tmp_path, "\n".join(lines(rows=[(first + k, *row[1:]) for k, row in enumerate(ROWS)])))
    assert table.ids == [str(first + k).encode() for k in range(len(ROWS))]


def test_spaces_around_ids_go_and_leading_zeros_stay_and_case_where_it_is_declared(tmp_path):
    ids = [" 007 ", "7", "a7", "A7", *(row[0] for row in ROWS[4:])]
    content = "\n".join(lines(rows=[(i, *row[1:]) for i, row in zip(ids, ROWS, strict=True)]))
    table = read(tmp_path, content, spec=SPEC.model_copy(update={"id_case": "keep"}))
    assert {b"007", b"7", b"a7", b"A7"} <= set(table.ids)
    assert "1 duplicate id in t.csv, at row 4; keep one row an id; or set id_case" in refused(tmp_path, content)


@pytest.mark.parametrize("pair", [("True", "False"), ("true", "false"), ('"1"', '"0"'), ("1.0", "0.0")])
def test_ways_to_write_a_label(tmp_path, pair):
    table = read(tmp_path, "\n".join(lines(rows=[(r[0], pair[k % 2 == 0], *r[2:]) for k, r in enumerate(ROWS)])))
    assert table.label.tolist() == [float(k % 2 == 0) == 0.0 for k in range(len(ROWS))]


def test_infinite_values_are_missing(tmp_path):
    values = ["inf", "-Infinity", "nan", *(row[2] for row in ROWS[3:])]
    table = read(tmp_path, "\n".join(lines(rows=[(r[0], r[1], v, r[3]) for r, v in zip(ROWS, values, strict=True)])))
    assert np.isnan(table.columns[0].numbers).sum() == 3
    assert np.isfinite(table.columns[0].numbers).sum() == len(ROWS) - 3


def test_text_that_names_rows_is_dropped_where_a_model_is_trained_and_kept_where_one_scores(tmp_path):
    rows = [(r[0], r[1], r[2], f"Mrs {k}" if k < 55 else "") for k, r in enumerate(ROWS)]
    table = read(tmp_path, "\n".join(lines(rows=rows)))
    source = Source(kind="csv", path=tmp_path / "t.csv")
    assert table.mostly_unique == ("kind",) == describe(source, SPEC, "telecom").mostly_unique
    assert set(table.columns[1].codes.tolist()) == {-1}
    scored = read_table(source, SPEC, "telecom", to_train=False)
    assert scored.mostly_unique == ()
    assert len(scored.columns[1].categories) == 55


def writing(path, values, kind):
    """A table of 60 rows: id, label, age and what kind says."""
    with duckdb.connect() as base:
        select = f"SELECT {values} AS id, i % 2 AS label, i + 0.5 AS age, 'k' || i % 3 AS kind FROM range(60) s(i)"
        base.execute(f"COPY ({select}) TO '{path}' (FORMAT {kind})")
    return Source(kind=kind, path=path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_path_is_no_pattern_and_a_folder_no_column(tmp_path, kind):
    folder = tmp_path / "age=7" / "[b]"
    for place in (folder, tmp_path / "age=7" / "b"):
        place.mkdir(parents=True)
    writing(tmp_path / "age=7" / "b" / f"t1.{kind}", "i + 100", kind)
    table = read_table(writing(folder / f"t?.{kind}", "i", kind), SPEC, "telecom")
    assert table.ids[:2] == [b"0", b"1"]
    assert len(set(table.columns[0].numbers.tolist())) == 60
    assert describe(Source(kind=kind, path=folder / f"t?.{kind}"), SPEC, "telecom").mostly_unique == ()


@pytest.mark.parametrize(("first", "kind"), [(2**24, "FLOAT"), (2**53, "DOUBLE")])
def test_ids_that_are_floats_are_told_apart_or_refused(tmp_path, first, kind):
    path = tmp_path / "t.parquet"
    few = read_table(writing(path, f"CAST(i + {first} - 70 AS {kind})", "parquet"), SPEC, "telecom")
    assert few.ids[0] == str(first - 70).encode()
    with pytest.raises(DataError, match=r"60 ids .* are floats too large"):
        read_table(writing(path, f"CAST(i * 2 + {first} AS {kind})", "parquet"), SPEC, "telecom")


@pytest.mark.parametrize(
    "sentinel", [float("nan"), float("inf"), -float("inf"), 10**30, '"', "'", "a,b", ";", "\n", "[0-9]"]
)
def test_any_sentinel_may_be_declared(tmp_path, sentinel):
    rows = [(*row[:3], '"a,b"' if k % 4 == 0 else row[3]) for k, row in enumerate(ROWS)]
    spec = SPEC.model_copy(update={"missing": ("", sentinel)})
    table = read(tmp_path, "\n".join(lines(rows=rows)), spec=spec)
    assert table.columns[0].numbers.tolist() == [row[2] for row in ROWS]
    assert table.sentinels == ({"kind": 15} if sentinel == "a,b" else {})
    assert ("a,b" in table.columns[1].categories) == (sentinel != "a,b")


@pytest.mark.parametrize(("name", "kind"), [("t.PARQUET", "parquet"), ("t.pq", "parquet"), ("t.txt", "csv")])
def test_a_file_is_what_its_name_or_its_beginning_says(tmp_path, name, kind):
    writing(tmp_path / name, "i", kind)
    assert kind_of(tmp_path / name) == kind
    assert kind_of(tmp_path / "not there.csv") == "csv"
    assert kind_of(tmp_path / "not there.parquet") == "parquet"


NO_TABLE = {
    "csv packed and not so named": ("t.csv", gzip.compress(b"id,x"), "it is packed by gzip; name it .csv.gz."),
    "a workbook": ("t.csv", b"PK\x03\x04SECRET", 'it is a workbook or a zip archive; write kind = "xlsx", or save it'),
    "a Parquet file as CSV": ("t.csv", b"PAR1SECRET", 'it is a Parquet file; write kind = "parquet".'),
    "half of a packed file": (
        "t.csv.gz",
        gzip.compress("\n".join(lines()).encode())[:-60],
        "Unexpected end of GZIP stream",
    ),
    "a line too long": (
        "t.csv",
        "\n".join([*lines(), f"SECRET,1,{'z' * 2_100_000},x"]).encode(),
        "a line of more than",
    ),
}


@pytest.mark.parametrize("case", NO_TABLE)
def test_what_a_file_really_is(tmp_path, case):
    name, content, said = NO_TABLE[case]
    sentence = refused(tmp_path, content, name)
    assert sentence.startswith(f"telecom: {name} cannot be read: ")
    assert said in sentence
    assert str(tmp_path) not in sentence
    assert "SECRET" not in sentence


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), columns=st.integers(1, 6), rows=st.integers(2, 40), separator=st.sampled_from(",;\t|")
)
def test_any_table_of_any_values_is_read_or_refused_in_a_sentence(tmp_path_factory, seed, columns, rows, separator):
    draw = random.Random(seed)
    pool = ["", "NA", "0", "1", "-1", "007", "1.5", "1,5", "inf", "x y", "中文", '"a""b"', "2024-01-01", "31.12.2023",
            "true", "1e400", "-98", "{", "\\", "'", "9" * 30, '"two\nlines"', "%", "#5", "NULL", "é"]  # fmt: skip
    quoted = [f'"{v}"' if separator in v and not v.startswith('"') else v for v in pool]
    names = [f"c {j}" for j in range(columns)]
    body = [[f"i{k}", str(k % 2), *(draw.choice(quoted) for _ in names)] for k in range(rows)]
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_text("\n".join(separator.join(row) for row in [["id", "y", *names], *body]), encoding="utf-8")
    spec = TableSpec(id=("id",), label="y", columns=tuple(names), missing=("", "NA", -98))
    with suppress(DataError):  # anything else is a bug
        table = read_table(Source(kind="csv", path=path), spec, "bank")
        assert table.rows == rows
        assert table.label.tolist() == [float(k.decode()[1:]) % 2 for k in table.ids]


def test_parquet_columns_of_any_type(tmp_path):
    select = """uuid() AS id, i % 2 AS label, i % 7 AS age, {'a': i % 3} AS kind, map {'k': i % 3} AS m, [i % 2] AS l,
        'a'::BLOB AS b, time '10:00' + to_seconds(CAST(i % 3 AS INTEGER)) AS t, (i % 4)::BIT AS bits, NULL AS n"""
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT {select} FROM range(100) s(i)) TO '{tmp_path / 't.parquet'}' (FORMAT parquet)")
    spec = TableSpec(id=("id",), label="label", columns=("age", "kind", "m", "l", "b", "t", "bits", "n"))
    table = read_table(Source(kind="parquet", path=tmp_path / "t.parquet"), spec, "bank")
    assert {c.name: len(c.categories) for c in table.columns if c.kind == "category"} == {
        "kind": 3, "m": 3, "l": 2, "b": 1, "t": 3, "n": 0,
    }  # fmt: skip  # bits are written as text of digits, and read as numbers
