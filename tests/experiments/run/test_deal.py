"""Dealing: who holds what, strangers under fresh ids, and nothing that hangs on an order."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tomli_w

from experiments.run.deal import Dealt, deal
from protocol.errors import DataError, UsageError
from protocol.files import folder_name
from protocol.job import load_job
from protocol.table import Table, read_table

ROWS = 300
ID = "'C' || (i * 7919 % 100000)"


def dealt(folder: Path, select: str = "", kind: str = "csv", **sections: dict[str, Any]) -> Dealt:
    """A table dealt out to a bank and two partners."""
    folder.mkdir(exist_ok=True)
    select = select or f"{ID} AS id, i % 2 AS y, i AS a, i + 0.5 AS b, 'k' || i % 5 AS c, 9 AS spare"
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT {select} FROM range({ROWS}) t(i)) TO '{folder / 'table'}' (FORMAT {kind})")
    values: dict[str, Any] = {
        "name": "small",
        "data": {"source": {"kind": kind, "path": "table"}, "id": ["id"], "label": "y"},
        "parties": {
            "bank": {"columns": ["a"]},
            "p": {"columns": ["b"], "coverage": 0.9, "strangers": 0.2},
            "q": {"columns": ["c"], "coverage": 0.5},
        },
        "run": {"seed": 7},
    }
    for section, keys in sections.items():
        values[section] = {**values.get(section, {}), **keys}
    (folder / "job.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    return deal(load_job(folder / "job.toml"), folder / "out")


def tables(made: Dealt) -> dict[str, Table]:
    """Every party's table as its node reads it."""
    return {name: read_table(party.source, party.spec, name) for name, party in made.parties.items()}


def test_coverage_and_strangers_are_exact_and_values_stay_with_their_ids(tmp_path):
    read = tables(dealt(tmp_path))
    bank, p, q = (dict(zip(t.ids, t.columns[0].numbers, strict=False)) for t in read.values())
    assert len(bank) == ROWS
    assert len(set(bank) & set(p)) == round(0.9 * ROWS)
    assert len(set(p) - set(bank)) == round(0.2 * ROWS)
    assert read["q"].rows == ROWS // 2
    assert set(read["q"].ids) <= set(bank)
    assert all(p[key] == bank[key] + 0.5 for key in set(p) & set(bank))
    assert {value - 0.5 for key, value in p.items() if key not in bank} <= set(bank.values())
    assert q == {}


def test_partners_hold_different_rows_and_the_seed_chooses_them(tmp_path):
    one = {"p": {"columns": ["b"], "coverage": 0.5}}
    read = tables(dealt(tmp_path / "a", parties=one))
    assert set(read["p"].ids) != set(read["q"].ids)
    again, other = (
        tables(dealt(tmp_path / "b", parties=one)),
        tables(dealt(tmp_path / "c", parties=one, run={"seed": 8})),
    )
    assert again["p"].ids == read["p"].ids != other["p"].ids


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, other = dealt(tmp_path / "a"), dealt(tmp_path / "b")
    for name in one.parties:
        assert one.parties[name].source.path.read_bytes() == other.parties[name].source.path.read_bytes()


def test_who_holds_what_does_not_hang_on_the_order_of_the_file(tmp_path):
    backwards = (
        f"{ID.replace('i ', f'({ROWS - 1} - i) ')} AS id, (i + 1) % 2 AS y, {ROWS - 1} - i AS a, {ROWS - 0.5} - i AS b"
    )
    one = tables(dealt(tmp_path / "a"))
    other = tables(dealt(tmp_path / "b", f"{backwards}, 'k' || ({ROWS - 1} - i) % 5 AS c"))
    for name in one:
        assert one[name].ids == other[name].ids
    assert one["p"].columns[0].numbers.tolist() == other["p"].columns[0].numbers.tolist()


def test_files_are_written_in_a_shuffled_order(tmp_path):
    made, orders = dealt(tmp_path), []
    with duckdb.connect() as base:
        for name in ("bank", "q"):
            ids = base.sql(f"SELECT id FROM '{made.parties[name].source.path}'").fetchnumpy()["id"].tolist()
            assert ids != sorted(ids)
            orders.append(ids)
        original = [f"C{i * 7919 % 100000}" for i in range(ROWS)]
    assert orders[0] != original
    common = set(orders[1])
    assert [i for i in orders[0] if i in common] != orders[1]


def test_fresh_ids_are_nobodys(tmp_path):
    taken = "CASE WHEN i < 150 THEN 'stranger-p-' || i ELSE 'stranger-p--' || i END AS id, i % 2 AS y, i AS a, i AS b"
    read = tables(dealt(tmp_path, f"{taken}, 'k' || i % 5 AS c"))
    assert len(set(read["p"].ids) - set(read["bank"].ids)) == round(0.2 * ROWS)


IDS = {
    "floats": ("CAST(i AS DOUBLE)", b"299"),
    "floats with gaps between": ("i + 0.5", b"299.5"),
    "padded": ("printf('%05d', i)", b"00299"),
    "wide": ("i::HUGEINT * 100000000000000000000", b"29900000000000000000000"),
    "decimals": ("CAST(i AS DECIMAL(12, 2))", b"299"),
    "dates": ("DATE '2024-01-01' + CAST(i AS INTEGER)", b"2024-10-26"),
}


@pytest.mark.parametrize("form", IDS)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ids_of_every_form_meet_again(tmp_path, form, kind):
    expression, last = IDS[form]
    if (form, kind) == ("wide", "parquet"):
        expression = f"CAST({expression} AS VARCHAR)"  # the format has no such integers
    read = tables(dealt(tmp_path, f"{expression} AS id, i % 2 AS y, i AS a, i AS b, 'k' || i % 5 AS c", kind))
    assert last in read["bank"].ids
    assert len(set(read["bank"].ids) & set(read["p"].ids)) == round(0.9 * ROWS)


def test_ids_of_several_columns(tmp_path):
    select = "i // 10 AS id, CAST(i % 10 AS DOUBLE) AS month, i % 2 AS y, i AS a, i AS b, 'k' || i % 5 AS c"
    read = tables(dealt(tmp_path, select, data={"id": ["id", "month"]}))
    assert b"29|9" in read["bank"].ids
    assert len(set(read["bank"].ids) & set(read["p"].ids)) == round(0.9 * ROWS)
    assert len(set(read["p"].ids) - set(read["bank"].ids)) == round(0.2 * ROWS)


def test_column_names_that_the_dealer_uses_itself_are_free(tmp_path):
    select = 'i AS id, i % 2 AS y, i AS "row", i AS fresh, i AS place, i AS "Row_", 9 AS "it\'s"'
    parties = {"bank": {"columns": ["row", "it's"]}, "p": {"columns": ["fresh", "place"]}, "q": {"columns": ["Row_"]}}
    read = tables(dealt(tmp_path, select, parties=parties))
    assert [c.name for c in read["bank"].columns] == ["row", "it's"]
    assert read["bank"].columns[0].numbers.tolist() == [float(i) for i in read["bank"].ids]


def test_what_nobody_gets_what_is_missing_and_what_is_unchecked_are_told(tmp_path):
    a, b = (
        "CASE WHEN i < 40 THEN -98 ELSE i END AS a",
        "CASE WHEN i < 30 THEN 'NA' WHEN i < 50 THEN '-1' ELSE '2' END AS b",
    )
    select = f"i AS id, i % 2 AS y, {a}, {b}, 'k' || i % 5 AS c, 9 AS spare"
    made = dealt(tmp_path, select, data={"missing": ["", "NA", -98, -1]})
    assert made.unused == ("spare",)
    assert made.sentinels == {"bank": {"a": 40}, "p": {"b": 50}, "q": {}}
    assert made.unverified == ("table",)


def test_a_party_with_a_table_of_its_own_keeps_it(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("key,c,more\n" + "\n".join(f"{i},{'NA' if i < 9 else i},1" for i in range(50)))
    party = {"q": {"columns": ["c"], "source": {"kind": "csv", "path": str(own)}, "id": ["key"]}}
    made = dealt(tmp_path, "i AS id, i % 2 AS y, i AS a, i AS b", parties=party, data={"missing": ["NA"]})
    assert made.parties["q"].source.path == own
    assert made.sentinels["q"] == {"c": 9}
    assert made.unused == ("more",)
    assert made.unverified == ("table", "own.csv")
    assert tables(made)["q"].rows == 50


def test_features_of_a_date_are_named(tmp_path):
    made = dealt(tmp_path, "i AS id, i % 2 AS y, i AS a, DATE '2024-01-01' + i::INTEGER AS b, 'k' || i % 5 AS c")
    assert made.features("p") == ["b.days"]
    assert made.features("q") == ["c"]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(DataError, match=r"p: column 'bb' is not in table"):
        dealt(tmp_path, parties={"p": {"columns": ["bb"]}})
    with pytest.raises(DataError, match=r"299 duplicate ids in table"):
        dealt(tmp_path, "1 AS id, i % 2 AS y, i AS a, i AS b, 'k' || i % 5 AS c")
    with pytest.raises(UsageError, match="the file gone is not at"):
        dealt(tmp_path, parties={"q": {"columns": ["c"], "source": {"kind": "csv", "path": "gone"}}})
    with pytest.raises(DataError, match="another SHA-256"):
        dealt(tmp_path, data={"source": {"kind": "csv", "path": "table", "sha256": "00"}})


def test_every_party_has_a_folder_of_its_own():
    names = ["bank", "Bank", "BANK ", "税务局", "税务局甲", "税务局乙", "a/b", "a-b", "..", ".", "", "data bureau"]
    folders = [folder_name(name) for name in names]
    assert len({folder.lower() for folder in folders}) == len(names)
    assert all(np.all([c.isascii() and (c.isalnum() or c == "-") for c in folder]) for folder in folders)
    assert folder_name("telecom") == "telecom"
