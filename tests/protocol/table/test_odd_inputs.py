"""A hundred odd inputs, a line each: how a column is read, or the sentence by which a file or a column is refused.

Every table has 300 rows: an id, a label, a column `ok` of numbers, and the odd column `x`, made in code.
"""

import codecs
import csv
import io
import sys
import zipfile
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError, UsageError
from protocol.table import Source, TableSpec, describe, read_table
from protocol.table.one_file import kind_of
from protocol.table.texts import FORMS, number_of, read_text

N = 300
PLAIN = [round((k * 7919 % 30_011) / 3 - 2_000, 2) for k in range(N)]
WHOLE = [k * 7919 % 30_011 for k in range(N)]
DAYS = np.datetime64("2024-12-20") - np.arange(N)


def dates(pattern):
    """Days before 20 December 2024 in some way of writing."""
    each = [str(day).split("-") for day in DAYS]
    return [pattern.format(y=y, m=m, d=d, mm=int(m), dd=int(d)) for y, m, d in each]


def with_word(word, every, values=PLAIN):
    """Numbers, of which every so many-th is a word."""
    return [word if k % every == 0 else value for k, value in enumerate(values)]


def without(every, values=PLAIN):
    """The same, missing there."""
    return [np.nan if k % every == 0 else value for k, value in enumerate(values)]


def wide(text):
    """In full-width characters."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def comma(value):
    """With a decimal comma and points between thousands."""
    return f"{value:,}".translate(str.maketrans(",.", ".,"))


def spoilt(odd, values=PLAIN):
    """Numbers, of which the first are other texts."""
    return [*odd, *values[len(odd) :]]


NUMBERS = {
    # name: (values as they are written, numbers that they mean)
    "plain": (PLAIN, PLAIN),
    "whole": (WHOLE, WHOLE),
    "thousands": ([f"{v:,}" for v in PLAIN], PLAIN),
    "thousands of whole numbers": ([f"{v:,}" for v in WHOLE], WHOLE),
    "thousands by spaces": ([f"{v:,}".replace(",", " ") for v in PLAIN], PLAIN),
    "thousands by no-break spaces": ([f"{v:,}".replace(",", "\u00a0") for v in PLAIN], PLAIN),
    "thousands by narrow spaces": ([f"{v:,}".replace(",", "\u202f") for v in PLAIN], PLAIN),
    "thousands by apostrophes": ([f"{v:,}".replace(",", "'") for v in PLAIN], PLAIN),
    "thousands by curly apostrophes": ([f"{v:,}".replace(",", "’") for v in PLAIN], PLAIN),
    "yuan": ([f"¥{v}" for v in PLAIN], PLAIN),
    "full-width yuan": ([f"￥{v:,}" for v in PLAIN], PLAIN),
    "yuan behind": ([f"{v}元" for v in PLAIN], PLAIN),
    "yuan, sign first": ([f"-¥{-v}" if v < 0 else f"¥{v}" for v in PLAIN], PLAIN),
    "dollars": ([f"${v:,}" for v in PLAIN], PLAIN),
    "dollars with a blank": ([f"$ {v}" for v in PLAIN], PLAIN),
    "euros behind": ([f"{v} €" for v in PLAIN], PLAIN),
    "pounds": ([f"£{v}" for v in PLAIN], PLAIN),
    "a currency's code": ([f"CNY {v}" for v in PLAIN], PLAIN),
    "a code behind": ([f"{v} usd" for v in PLAIN], PLAIN),
    "percent": ([f"{v}%" for v in PLAIN], PLAIN),
    "percent with a blank": ([f"{v} %" for v in PLAIN], PLAIN),
    "full-width percent": ([f"{v}％" for v in PLAIN], PLAIN),
    "percent but for zero": ([f"{v}%" if k % 9 else "0" for k, v in enumerate(PLAIN)],
                             [v if k % 9 else 0 for k, v in enumerate(PLAIN)]),
    "plus signs": ([f"{v:+}" for v in PLAIN], PLAIN),
    "Unicode minus": ([str(v).replace("-", "−") for v in PLAIN], PLAIN),
    "en dash for minus": ([str(v).replace("-", "–") for v in PLAIN], PLAIN),
    "full-width minus": ([str(v).replace("-", "－") for v in PLAIN], PLAIN),
    "full-width digits": ([wide(str(v)) for v in PLAIN], PLAIN),
    "full-width digits with thousands": ([wide(f"{v:,}") for v in PLAIN], PLAIN),
    "decimal commas": ([str(v).replace(".", ",") for v in PLAIN], PLAIN),
    "decimal commas and points between thousands": ([comma(v) for v in PLAIN], PLAIN),
    "decimal commas and percent": ([f"{str(v).replace('.', ',')}%" for v in PLAIN], PLAIN),
    "decimal commas and euros": ([f"{comma(v)} €" for v in PLAIN], PLAIN),
    "accounting brackets": ([f"({-v:,})" if v < 0 else f"{v:,}" for v in PLAIN], PLAIN),
    "accounting brackets and a currency": ([f"(${-v:,})" if v < 0 else f"${v:,}" for v in PLAIN], PLAIN),
    "full-width brackets": ([f"（{-v}）" if v < 0 else str(v) for v in PLAIN], PLAIN),
    "exponents": ([f"{v:.6e}" for v in PLAIN], PLAIN),
    "exponents beside a dash": (with_word("-", 9, [f"{v:.6E}" for v in PLAIN]), without(9)),
    "no digit before the point": ([str(v / 1e5).replace("0.", ".") for v in WHOLE], [v / 1e5 for v in WHOLE]),
    "no digit behind the point": ([f"{v}." for v in WHOLE], WHOLE),
    "blanks around": ([f"  {v}\t" for v in with_word("-", 7)], without(7)),
    "blanks are missing": (with_word("", 5), without(5)),
    "a dash": (with_word("-", 7), without(7)),
    "a long dash": (with_word("—", 7), without(7)),
    "two dashes": (with_word("--", 3), without(3)),
    "a dash in most rows": ([v if k % 20 == 0 else "-" for k, v in enumerate(PLAIN)],
                            [v if k % 20 == 0 else np.nan for k, v in enumerate(PLAIN)]),
    "NULL": (with_word("NULL", 9), without(9)),
    "null": (with_word("null", 9), without(9)),
    "(null)": (with_word("(null)", 9), without(9)),
    "None": (with_word("None", 9), without(9)),
    "NaN": (with_word("NaN", 9), without(9)),
    "NA": (with_word("NA", 9), without(9)),
    "N/A": (with_word("N/A", 9), without(9)),
    "#N/A": (with_word("#N/A", 11), without(11)),
    "#VALUE!": (with_word("#VALUE!", 11), without(11)),
    "#DIV/0!": (with_word("#DIV/0!", 11), without(11)),
    "backslash N": (with_word("\\N", 11), without(11)),
    "a point": (with_word(".", 11), without(11)),
    "a question mark": (with_word("?", 11), without(11)),
    "unknown, once": (spoilt(["unknown"]), [np.nan, *PLAIN[1:]]),
    "nothing, in Chinese": (with_word("无", 4), without(4)),
    "unknown, in Chinese": (with_word("未知", 4), without(4)),
    "infinity": (with_word("inf", 50), without(50)),
    "any other word": (with_word("not asked", 4), without(4)),
    "a word and a dash": (with_word("closed", 3, with_word("-", 5)),
                          [np.nan if k % 3 == 0 or k % 5 == 0 else v for k, v in enumerate(PLAIN)]),
    "1% of other words": (spoilt(["a", "b9", "c7"]), [np.nan] * 3 + PLAIN[3:]),
    "a declared code": (with_word("-98", 6, [f"¥{v}" for v in WHOLE]), without(6, WHOLE)),
    "leading zeros": ([f"{v:07}" for v in WHOLE], WHOLE),
}  # fmt: skip
CATEGORIES = {
    "letters": ["ABC"[k % 3] for k in range(N)],
    "grades with numbers": [f"{'ABC'[k % 3]}{k % 5}" for k in range(N)],
    "3+ among numbers": ["3+" if k % 10 == 0 else str(k % 3) for k in range(N)],
    "two words among numbers": [("X", "C", "1", "2")[k % 4] for k in range(N)],
    "a word in most rows": ["yes" if k % 3 else str(k % 5) for k in range(N)],
    "2% of other words": [f"{'uvw'[k % 3]}9" if k % 50 == 0 else f"v{k % 4}" for k in range(N)],
    "ranges": [f"{k % 4}-{k % 4 + 1}" for k in range(N)],
    "times of day in words": [f"{k % 12}h" for k in range(N)],
    "versions": [f"1.{k % 3}.2" for k in range(N)],
    "groups of two digits": [f"1,{k % 4}2" if k % 2 else "1,23,45" for k in range(N)],
    "mixed percent": [f"{k % 5}%" if k % 2 else f"{k % 5}.1" for k in range(N)],
    "two signs": [f"+-{k % 5}" for k in range(N)],
    "units": [f"{k % 6} years" for k in range(N)],
    "months": [f"2024年{k % 12 + 1}月" for k in range(N)],
    "dates that are none": [f"2024-02-{30 + k % 2}" for k in range(N)],
    "only words for nothing": ["-", "NULL", "n/a"] * 100,
}
DATES = {
    "dates": dates("{y}-{m}-{d}"),
    "dates by slashes": dates("{y}/{mm}/{dd}"),
    "dates by points": dates("{y}.{mm}.{dd}"),
    "dates in Chinese": dates("{y}年{mm}月{dd}日"),
    "dates in full width": [wide(day) for day in dates("{y}-{m}-{d}")],
    "dates at midnight": dates("{y}-{m}-{d} 00:00:00"),
    "dates in Chinese at midnight": dates("{y}年{m}月{d}日 00:00"),
}


@dataclass(frozen=True)
class Odd:
    """A file and how it is read. said: of the sentence in which it is refused. ids: the first, if it is read."""

    content: bytes
    said: str = ""
    spec: dict = field(default_factory=dict)
    source: dict = field(default_factory=dict)
    error: type[Exception] = DataError
    ids: tuple[bytes, ...] = ()
    labels: tuple[float, ...] = ()


def table(xs, ids=None, labels=None, header="id,y,ok,x", separator=","):
    """A CSV as text."""
    out = io.StringIO()
    out.write(header + "\n" if header else "")
    rows = csv.writer(out, delimiter=separator, lineterminator="\n")
    ids = ids or [f"{k:05}" for k in range(N)]
    labels = labels or [k % 2 for k in range(N)]
    rows.writerows(zip(ids, labels, WHOLE, xs, strict=True))
    return out.getvalue()


def longest(last):
    """Ids of 18 digits."""
    return [f"1101051960{k:05}{last(k)}" for k in range(N)]


LETTERS = ["ABC"[k % 3] for k in range(N)]
TEXT = table(LETTERS)
CHINESE = table(["甲", "乙", "丙"] * 100)
LINES = TEXT.split("\n")
WORDS = ["逾期" if k % 2 else "正常" for k in range(N)]
FILES = {
    "UTF-8": Odd(CHINESE.encode()),
    "UTF-8 with a mark": Odd(codecs.BOM_UTF8 + CHINESE.encode()),
    "GB18030": Odd(CHINESE.encode("gb18030")),
    "GB18030, named": Odd(CHINESE.encode("gb18030"), source={"encoding": "gb18030"}),
    "UTF-16": Odd(CHINESE.encode("utf-16")),
    "UTF-16, big end first": Odd(codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be")),
    "Latin-1, named": Odd(table(["é", "à", "ç"] * 100).encode("latin-1"), source={"encoding": "latin-1"}),
    "Latin-1": Odd(table(["é", "à", "ç"] * 100).encode("latin-1"), "t.csv is neither UTF-8 nor GB18030 text; name its"),
    "another encoding than named": Odd(
        CHINESE.encode("gb18030"), "is not utf-8 text, as its", source={"encoding": "utf-8"}
    ),
    "a NUL byte": Odd("\n".join([*LINES[:41], "0\0,1,2,A", *LINES[42:]]).encode(), "t.csv has a NUL byte in line 42"),
    "a title above the header": Odd(f"Loans of 2024\n{TEXT}".encode(), "which seems to be line 2; drop the line"),
    "a title and a blank line": Odd(f"Loans\n\n{TEXT}".encode(), "which seems to be line 3; drop the 2 lines above it"),
    "a title with commas": Odd(f"Loans, all,,\n{TEXT}".encode(), "which seems to be line 2"),
    "a title and an unknown header": Odd(
        f"Loans\n{table(LETTERS, header='key,y,ok,x')}".encode(), "seems to be line 2"
    ),
    "no header": Odd(table(LETTERS, header="").encode(), "column 'id' is not in t.csv"),
    "ids with leading zeros": Odd(TEXT.encode(), ids=(b"00000", b"00001")),
    "ids to be padded": Odd(table(LETTERS, ids=range(N)).encode(), spec={"id_pad": 5}, ids=(b"00000", b"00001")),
    "ids in lower case": Odd(table(LETTERS, ids=[f"c{k:04}x" for k in range(N)]).encode(), ids=(b"C0000X",)),
    "ids in lower case, kept": Odd(
        table(LETTERS, ids=[f"c{k:04}x" for k in range(N)]).encode(), spec={"id_case": "keep"}, ids=(b"c0000x",)
    ),
    "ids in full width": Odd(table(LETTERS, ids=[wide(f"{k:05}") for k in range(N)]).encode(), ids=(b"00000",)),
    "ids with blanks inside": Odd(table(LETTERS, ids=[f"{k:05} X" for k in range(N)]).encode(), ids=(b"00000X",)),
    "ids with invisible characters": Odd(
        table(LETTERS, ids=[f"\u200b{k:05}X\ufeff" for k in range(N)]).encode(), ids=(b"00000X",)
    ),
    "ids that differ by case": Odd(
        table(LETTERS, ids=["a1", "A1", *range(2, N)]).encode(), 'at row 2; keep one row an id; or set id_case = "keep"'
    ),
    "long ids in exponents": Odd(
        table(LETTERS, ids=["1.10105E+17", *range(1, N)]).encode(), "1 id in t.csv, at row 1, are floats too large"
    ),
    "long ids with a decimal point": Odd(
        table(LETTERS, ids=[f"{i}.0" for i in longest(lambda k: "017")]).encode(), "300 ids in t.csv, at rows 1, 2, 3"
    ),
    "an empty id": Odd(table(LETTERS, ids=["", *range(1, N)]).encode(), "1 null id in t.csv, at row 1"),
    "a label in words": Odd(
        table(LETTERS, labels=WORDS).encode(), spec={"label_bad": ("逾期",), "label_good": ("正常",)}, labels=(0, 1)
    ),
    "a label of other numbers": Odd(
        table(LETTERS, labels=[k % 2 + 1 for k in range(N)]).encode(),
        spec={"label_bad": (2,), "label_good": (1,)}, labels=(0, 1),
    ),
    "a label in words that is not declared": Odd(table(LETTERS, labels=WORDS).encode(), "not a number in 300"),
    "a label with a third word": Odd(
        table(LETTERS, labels=["?", *WORDS[1:]]).encode(), "no value of label_bad or label_good in 1 of 300 rows",
        {"label_bad": ("逾期",), "label_good": ("正常",)},
    ),
    "a label that is both": Odd(
        table(LETTERS, labels=WORDS).encode(), "in label_bad and in label_good",
        {"label_bad": ("逾期",), "label_good": ("正常", "逾期")},
    ),
    "a workbook": Odd(b"PK\x03\x04", 'is a workbook or a zip archive; write kind = "xlsx"'),
    "no workbook": Odd(b"PK\x03\x04", "t.csv is no workbook that can be read", source={"kind": "xlsx"}),
}  # fmt: skip


def read(tmp_path, content, spec=None, source=None, name="t.csv"):
    """The table of a file."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    wanted = {"id": ("id",), "label": "y", "columns": ("ok", "x"), "missing": ("", -98), **(spec or {})}
    return read_table(Source(**{"kind": "csv", "path": path, **(source or {})}), TableSpec(**wanted), "p1")


def test_there_are_a_hundred():
    assert len(NUMBERS) + len(CATEGORIES) + len(DATES) + len(FILES) >= 100


@pytest.mark.parametrize("name", NUMBERS)
def test_it_is_read_as_numbers(tmp_path, name):
    written, meant = NUMBERS[name]
    found = read(tmp_path, table(written))
    (x,) = (c for c in found.columns if c.name == "x")
    assert x.kind == "number"
    np.testing.assert_allclose(x.numbers, np.array(meant, dtype=np.float64), rtol=1e-5 if "exponent" in name else 0)


@pytest.mark.parametrize("name", CATEGORIES)
def test_it_is_read_as_categories(tmp_path, name):
    found = read(tmp_path, table(CATEGORIES[name]))
    (x,) = (c for c in found.columns if c.name == "x")
    assert set(x.categories) == set(CATEGORIES[name])
    assert found.reading == ()


@pytest.mark.parametrize("name", DATES)
def test_it_is_read_as_days(tmp_path, name):
    found = read(tmp_path, table(DATES[name]))
    (x,) = (c for c in found.columns if c.name == "x.days")
    assert x.numbers.tolist() == list(range(N))
    assert [note.text for note in found.reading] == ["x: read as days before 2024-12-20, its newest date"]


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_or_refused_in_a_sentence(tmp_path, name):
    odd = FILES[name]
    if odd.said:
        with pytest.raises(odd.error) as caught:
            read(tmp_path, odd.content, odd.spec, odd.source)
        assert odd.said in str(caught.value)
        return
    found = read(tmp_path, odd.content, odd.spec, odd.source)
    assert found.rows == N
    assert [column.kind for column in found.columns] == ["number", "category"]
    assert tuple(found.ids[: len(odd.ids)]) == odd.ids
    if odd.labels:
        assert found.label[: len(odd.labels)].tolist() == list(odd.labels)


@pytest.mark.parametrize("name", ["a dash", "yuan", "decimal commas", "percent"])
def test_strictly_text_is_text(tmp_path, name):
    written, _ = NUMBERS[name]
    (x,) = (c for c in read(tmp_path, table(written), {"numbers": "strict"}).columns if c.name == "x")
    assert x.kind == "category"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_dash_is_read_alike_in_every_kind_of_file(tmp_path, kind):
    written, meant = NUMBERS["a dash"]
    path = tmp_path / f"t.{kind}"
    (tmp_path / "t.csv").write_text(table(written))
    if kind == "parquet":
        with duckdb.connect() as base:
            texts = f"SELECT * FROM read_csv('{tmp_path / 't.csv'}', all_varchar = true)"
            base.execute(f"COPY ({texts}) TO '{path}' (FORMAT parquet)")
    spec = TableSpec(id=("id",), label="y", columns=("ok", "x"))
    found = read_table(Source(kind=kind, path=path), spec, "p1")
    np.testing.assert_array_equal(found.columns[1].numbers, meant)
    assert "x: read as a number; 43 values '-' taken as missing" in [note.text for note in found.reading]


def test_what_was_read_or_dropped_is_said_by_column(tmp_path):
    rows = ["id,y,word,once,empty,alike,name,ok"]
    rows += [f"{k:04},{k % 2},{'-' if k == 5 else k}.5,{'abc'[k % 3]},,7,n{k}x,{k}" for k in range(N)]
    rows[6] = rows[6].replace("-.5", "-")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows))
    found = read_table(Source(kind="csv", path=path), TableSpec(id=("id",), label="y"), "p1")
    assert [note.text for note in found.reading] == [
        "word: read as a number; 1 value '-' taken as missing",
        "empty: dropped, since it has no value in any of 300 rows",
        "alike: dropped, since it has one value in all of 300 rows",
        "name: dropped, since most of its 300 values occur once",
    ]
    spec = TableSpec(id=("id",), label="y", columns=("word", "once", "empty", "alike", "name", "ok"))
    described = describe(Source(kind="csv", path=path), spec, "p1")
    assert sorted(note.text for note in described.notes) == sorted(note.text for note in found.reading)
    assert described.features == tuple(column.name for column in found.columns)


def test_shortened_ids_are_named_with_their_share_and_rows(tmp_path):
    ids = [f"1.23{k:03}E+11" if k % 10 == 0 else str(123_450_000_000 + k * 1_000_000) for k in range(N)]
    (note, *_) = read(tmp_path, table(LETTERS, ids=ids)).reading
    assert note.text.startswith("id: 30 of 300 ids (10%), at rows 1, 11, 21, 31, 41 ..., look like a spreadsheet's")
    rounded = [str(110_105_196_001_000_000 + k * 16_000) for k in range(N)]
    (note, *_) = read(tmp_path, table(LETTERS, ids=rounded)).reading
    assert note.rule == "id_rounded"
    assert read(tmp_path, table(LETTERS, ids=[str(int(i) + k) for k, i in enumerate(rounded)])).reading == ()


def workbook(path, sheets):
    """The least that is a workbook: inline strings and numbers. sheets: rows of cells by name."""

    def cell(value):
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value!r}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w") as file:
        named = "".join(f'<sheet name="{n}" sheetId="{k}" r:id="r{k}"/>' for k, n in enumerate(sheets, 1))
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{named}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{k}" Type="{office}/worksheet" Target="worksheets/s{k}.xml"/>'
            for k in range(1, len(sheets) + 1)
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        book = f'<Relationship Id="b" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        file.writestr("_rels/.rels", f'<Relationships xmlns="{package}/relationships">{book}</Relationships>')
        kinds = '<Default Extension="xml" ContentType="application/xml"/>'
        file.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types">{kinds}</Types>')
        for k, rows in enumerate(sheets.values(), 1):
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/s{k}.xml", f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
            )


def test_a_sheet_is_read_as_a_csv_is(tmp_path):
    head = ["id", "y", "ok", "x"]
    rows = [[f"{k:05}", k % 2, WHOLE[k], "-" if k % 7 == 0 else PLAIN[k]] for k in range(N)]
    workbook(tmp_path / "t.xlsx", {"notes": [["nothing"]], "loans": [head, *rows]})
    source = Source(kind=kind_of(tmp_path / "t.xlsx"), path=tmp_path / "t.xlsx", sheet="loans")
    spec = TableSpec(id=("id",), label="y", columns=("ok", "x"))
    found = read_table(source, spec, "p1")
    csv_like = read(tmp_path, table(NUMBERS["a dash"][0]))
    assert found.ids == csv_like.ids
    for one, other in zip(found.columns, csv_like.columns, strict=True):
        np.testing.assert_array_equal(one.numbers, other.numbers)
    with pytest.raises(DataError, match=r"t.xlsx has no sheet 'loan' \(nearest: 'loans'\)"):
        read_table(source.model_copy(update={"sheet": "loan"}), spec, "p1")


def test_long_ids_that_a_workbook_keeps_as_numbers_are_refused(tmp_path):
    rows = [[110105196001010000.0 + 64 * k, k % 2, WHOLE[k], "A"] for k in range(N)]
    workbook(tmp_path / "t.xlsx", {"loans": [["id", "y", "ok", "x"], *rows]})
    with pytest.raises(DataError, match=r"300 ids in t\.xlsx, at rows 1, 2, 3, 4, 5 \.\.\., are floats too large"):
        read_table(Source(kind="xlsx", path=tmp_path / "t.xlsx"), TableSpec(id=("id",), label="y"), "p1")


def test_a_workbook_without_the_package_says_which(tmp_path, monkeypatch):
    workbook(tmp_path / "t.xlsx", {"loans": [["id", "y"], [1, 0]]})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UsageError, match="python-calamine is not installed; install it, or save the sheet as CSV"):
        read_table(Source(kind="xlsx", path=tmp_path / "t.xlsx"), TableSpec(id=("id",), label="y"), "p1")


def test_new_rows_are_read_as_those_of_training(tmp_path):
    """A thousand with a comma is not one with a decimal comma, though a file of few rows cannot tell."""
    trained = read(tmp_path, table(NUMBERS["decimal commas"][0]))
    few = 'id,y,ok,x\n1,0,1,"1,234"\n2,1,2,-\n'
    (tmp_path / "few.csv").write_text(few)
    spec = TableSpec(id=("id",), label="y", columns=("ok", "x"))
    source = Source(kind="csv", path=tmp_path / "few.csv")
    found = read_table(source, spec, "p1", to_train=False, remembered=trained.read_as)
    np.testing.assert_array_equal(found.columns[1].numbers, [1.234, np.nan])
    (tmp_path / "few.csv").write_text(few.replace("-", "soon"))
    with pytest.raises(DataError, match=r"column 'x' of few\.csv is no number, and was one in training"):
        read_table(source, spec, "p1", to_train=False, remembered=trained.read_as)
    dated = read(tmp_path, table(DATES["dates"]))
    (tmp_path / "few.csv").write_text("id,y,ok,x\n1,0,1,2024-12-19\n2,1,2,2025-01-01\n")
    found = read_table(source, spec, "p1", to_train=False, remembered=dated.read_as)
    assert found.columns[1].numbers.tolist() == [1, -12]


@settings(deadline=None)
@given(st.floats(-1e12, 1e12).map(lambda v: round(v, 3)), st.sampled_from(["", "¥", "$", "CNY "]), st.booleans())
def test_any_number_is_read_back_in_every_form(value, currency, percent):
    form, comma_form = (f for f in FORMS if f.percent == percent)
    sign, size = "-" if value < 0 else "", f"{abs(value):,.3f}"
    end = "%" if percent else ""
    assert number_of(f"{sign}{currency}{size}{end}", form) == value
    assert number_of(f"{currency}{sign}{size}{end}", form) == value
    swapped = size.translate(str.maketrans(",.", ".,"))
    assert number_of(f"{sign}{currency}{swapped}{end}", comma_form) == value
    if value < 0:
        assert number_of(f"({currency}{size}{end})", form) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6), st.integers(1, 99), max_size=30))
def test_a_column_of_any_texts_is_read_so_that_99_of_100_mean_something(counts):
    found = read_text(counts)
    if found.read.kind == "number":
        known = sum(n for v, n in counts.items() if v not in found.missing)
        assert all((number_of(v, found.read) is None) == (v in found.missing) for v in counts)
        assert known > 0
    assert found.missing.keys() <= counts.keys()
