"""Tables of thousands of columns: read some at a time, and the same as if they were read at once."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from protocol.table import Source, Table, TableSpec, describe, loaded, read_table

SPEC = TableSpec(id=("id",), label="y", missing=("", "NA", -98))


def _write(folder: Path, kind: str) -> Source:
    """120 rows: numbers with sentinels, text, numbers as text, dates, a constant and names of rows."""
    numbers = ", ".join(
        f"CASE WHEN (i + {k}) % 9 = 0 THEN -98 ELSE hash(i * 40 + {k}) % 50 END AS n{k}" for k in range(40)
    )
    others = (
        "'r' || i AS id, i % 2 AS y, CASE i % 4 WHEN 0 THEN 'NA' ELSE 'k' || (i % 4) END AS word, "
        "(i * 1000)::VARCHAR || '元' AS money, DATE '2020-01-01' + i::INTEGER AS day, 7 AS same, 'u' || i AS name"
    )
    path = folder / f"wide.{kind}"
    with duckdb.connect() as base:
        options = "HEADER" if kind == "csv" else "FORMAT parquet"
        base.execute(f"COPY (SELECT {others}, {numbers} FROM range(120) r(i)) TO '{path}' ({options})")
    return Source(kind="csv" if kind == "csv" else "parquet", path=path)


def _values(table: Table) -> list[object]:
    facts = [(c.name, c.kind, c.categories, c.ordered, c.numbers.tobytes(), c.codes.tobytes()) for c in table.columns]
    others = {f.name: getattr(table, f.name) for f in dataclasses.fields(table) if f.name != "columns"}
    return [facts, {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in others.items()}]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_large_table_is_read_in_batches_and_stored_as_it_would_be_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = _write(tmp_path, kind)
    whole, described = read_table(source, SPEC, "p1"), describe(source, SPEC, "p1")
    monkeypatch.setattr(loaded, "_LARGE", 7 * 16 * 120)  # seven columns at a time
    stored = read_table(source, SPEC, "p1", store=tmp_path / "state")
    assert type(stored.columns[0]).__name__ == "StoredColumn"
    assert _values(stored) == _values(whole)
    assert describe(source, SPEC, "p1") == described
    chosen = np.arange(120) % 3 == 0
    for one, other in zip(stored.columns, whole.columns, strict=True):
        assert (one.rows(chosen).codes == other.rows(chosen).codes).all()
        np.testing.assert_array_equal(one.rows(chosen).numbers, other.rows(chosen).numbers)
    assert not list((tmp_path / "state").iterdir()), "the stored values lie in a file without a name"


def test_sentinels_of_many_columns_are_counted(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(1200)]
    lines = [",".join(["id", *names]), *(f"r{i}," + ",".join(["NA", "-98", "3", ""] * 300) for i in range(30))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    table = read_table(Source(kind="csv", path=tmp_path / "t.csv"), SPEC.model_copy(update={"label": ""}), "p1", False)
    assert table.sentinels == {name: 30 for k, name in enumerate(names) if k % 4 < 2}


_MEASURED = """
import resource, sys
from pathlib import Path
from protocol.table import Source, TableSpec, read_table
read_table(Source(kind="csv", path=Path(sys.argv[1])), TableSpec(id=("id",), missing=("", "NA", -98)), "p1")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_csv_of_5000_columns_is_read_in_less_than_1_gib(tmp_path: Path) -> None:

    values = np.random.default_rng(1).normal(size=(1200, 5000)).round(3)
    with (tmp_path / "t.csv").open("w") as file:
        file.write(",".join(["id", *(f"c{k}" for k in range(5000))]) + "\n")
        file.writelines(f"r{i}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(values.tolist()))
    done = subprocess.run([sys.executable, "-c", _MEASURED, tmp_path / "t.csv"], capture_output=True, check=True)
    assert int(done.stdout) < 1024
