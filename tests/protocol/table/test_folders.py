"""Parquet tables in folders: hive partitions are columns, and the digest is of all files."""

from pathlib import Path

import duckdb
import pytest

from protocol.errors import DataError, FedwarnError, UsageError
from protocol.table import Source, TableSpec, describe, read_table
from tests.experiments.run.test_any_table import report_of

SPEC = TableSpec(id=("id",))


def _lake(folder: Path, select: str = "'r' || i AS id, i AS x, i % 3 AS part, 2020 + i % 2 AS y") -> Path:
    with duckdb.connect() as base:
        options = "(FORMAT parquet, PARTITION_BY (y, part))"
        base.execute(f"COPY (SELECT {select} FROM range(60) t(i)) TO '{folder / 'lake'}' {options}")
    return folder / "lake"


@pytest.mark.parametrize("pattern", ["lake", "lake/*", "lake/y=*", "lake/y=*/part=*", "lake/y=*/part=*/*.parquet"])
def test_partitions_are_columns(tmp_path: Path, pattern: str) -> None:
    _lake(tmp_path)
    source = Source(kind="parquet", path=tmp_path / pattern)
    table = read_table(source, SPEC, "p")
    values = {c.name: dict(zip(table.ids, c.numbers, strict=True)) for c in table.columns}
    assert set(values) == {"x", "y", "part"}
    assert all(values["y"][b"R%d" % i] == 2020 + i % 2 and values["part"][b"R%d" % i] == i % 3 for i in range(60))
    assert describe(source, SPEC, "p").features == tuple(c.name for c in table.columns)


@pytest.mark.parametrize("pattern", ["lake/y=2020", "lake/y=2020/part=*"])
def test_some_partitions_are_read_alone(tmp_path: Path, pattern: str) -> None:
    _lake(tmp_path)
    table = read_table(Source(kind="parquet", path=tmp_path / pattern), SPEC, "p")
    assert table.rows == 30
    assert {c.name for c in table.columns} == {"x", "y", "part"}


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    lake = _lake(tmp_path)
    source = Source(kind="parquet", path=tmp_path / "lake/y=*")
    first = read_table(source, SPEC, "p").sha256
    assert read_table(source, SPEC, "p").sha256 == first
    assert read_table(source.model_copy(update={"sha256": first}), SPEC, "p").sha256 == first
    moved = sorted(lake.rglob("*.parquet"))[0]
    moved.rename(moved.with_name("other.parquet"))
    assert read_table(source, SPEC, "p").sha256 != first
    with pytest.raises(DataError, match="another SHA-256"):
        read_table(source.model_copy(update={"sha256": first}), SPEC, "p")


@pytest.mark.parametrize(
    ("kind", "pattern", "error", "said"),
    [
        ("parquet", "nothing/dt=*", UsageError, r"dt=\* names no Parquet file"),
        ("csv", "lake", UsageError, "is a folder, and a table is one file"),
        ("parquet", "seed=7/tables/lake/y=*", DataError, "the folder seed=7 lies above the table in lake"),
    ],
)
def test_what_is_no_table_is_named(
    tmp_path: Path, kind: str, pattern: str, error: type[FedwarnError], said: str
) -> None:
    _lake(tmp_path)
    (tmp_path / "seed=7" / "tables").mkdir(parents=True)
    _lake(tmp_path / "seed=7" / "tables")
    source = Source.model_validate({"kind": kind, "path": tmp_path / pattern})
    with pytest.raises(error, match=said):
        read_table(source, SPEC, "p")


def test_a_scenario_reads_a_lake(tmp_path: Path) -> None:
    label = "((i * 7919 % 13) + (i * 104729 % 17) > 15)::INTEGER AS bad"
    with duckdb.connect() as base:
        columns = f"'r' || i AS id, {label}, i * 7919 % 13 AS a, i * 104729 % 17 AS b, i % 4 AS dt"
        table = f"SELECT {columns} FROM range(400) t(i)"
        base.execute(f"COPY ({table}) TO '{tmp_path / 'lake'}' (FORMAT parquet, PARTITION_BY (dt))")
    report = report_of(
        tmp_path,
        data={"source": {"kind": "parquet", "path": "lake/dt=*"}, "id": ["id"], "label": "bad"},
        parties={"bank": {"columns": ["a"]}, "p": {"columns": ["b", "dt"]}},
        contract={"min_rows_per_bin": 5, "min_rows_per_node": 10},
        run={"engine": "plaintext", "ladder": [["bank", "p"]]},
        report={"placebo": False, "bootstrap": 20},
    )
    assert report["data"]["parties"]["p"]["columns"] == 2
