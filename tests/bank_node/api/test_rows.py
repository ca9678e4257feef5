"""Rows as people have them: every form of one table is read as one table, and what is none is said in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.api.rows import as_source
from protocol.errors import DataError, UsageError
from protocol.table import Table, TableSpec, read_table

NAMES = ["C3", "C1", "C2"]
NUMBERS = [1.5, None, 3.0]
BRANDS = ["é", None, "z"]
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
SPEC = TableSpec(id=("id",), label="bad", time="day")


def columns() -> dict[str, Any]:
    return {"id": NAMES, "bad": [0, 1, 0], "a b": NUMBERS, "brand": BRANDS, "day": DAYS, "yes": [True, False, True]}


def arrays() -> dict[str, Any]:
    numbers = np.array([1.5, np.nan, 3.0])
    days = np.array(DAYS, dtype="datetime64[D]")
    made = {"id": np.array(NAMES), "bad": np.array([0, 1, 0], dtype=np.int8), "a b": numbers}
    return {**made, "brand": np.array(BRANDS, dtype=object), "day": days, "yes": np.array([True, False, True])}


def structured() -> np.ndarray[Any, Any]:
    types = [("id", "U4"), ("bad", "i8"), ("a b", "f4"), ("brand", object), ("day", "M8[D]"), ("yes", "?")]
    return np.array(list(zip(*arrays().values(), strict=True)), dtype=types)


def frame() -> pd.DataFrame:
    nullable = pd.array([1.5, None, 3.0], dtype="Float64")
    made = pd.DataFrame(columns()).assign(**{"a b": nullable, "day": pd.to_datetime(DAYS)})
    return made.astype({"brand": "category"}).set_index(pd.Index([7, 7, 9]))


class OtherFrame:
    """A DataFrame of a library that is not pandas."""

    columns = tuple(columns())

    def __getitem__(self, name: str) -> Any:
        return pd.Series(arrays()[name])


def read(rows: Any, folder: Path) -> tuple[Table, str]:
    with as_source(rows, folder, "bank") as source:
        return read_table(source, SPEC, "bank"), source.sha256


@pytest.mark.parametrize("make", [columns, arrays, structured, frame, OtherFrame], ids=lambda make: make.__name__)
def test_every_form_is_read_as_the_same_table(make: Callable[[], Any], tmp_path: Path) -> None:
    written = tmp_path / "rows.csv"
    pd.DataFrame(columns()).to_csv(written, index=False)
    expected, _ = read(written, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    table, sha256 = read(make(), tmp_path / "rows")
    assert table.ids == expected.ids == [b"C1", b"C2", b"C3"]
    assert table.order.tolist() == expected.order.tolist() == [1, 2, 0]
    assert [c.name for c in table.columns] == ["a b", "brand", "yes"]
    for ours, theirs in zip(table.columns, expected.columns, strict=True):
        assert (ours.kind, ours.categories) == (theirs.kind, theirs.categories)
        np.testing.assert_array_equal(ours.numbers, theirs.numbers)
        np.testing.assert_array_equal(ours.codes, theirs.codes)
    assert table.time is not None
    np.testing.assert_array_equal(table.time, expected.time)
    assert read(make(), tmp_path / "rows")[1] == sha256, "one table has one digest, or a fit could not be gone on with"
    assert list((tmp_path / "rows").iterdir()) == [], "the file is gone after the call"


@settings(deadline=None, max_examples=10)
@given(numbers=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_numbers_keep_every_bit(numbers: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = {"id": [f"{k:03}" for k in range(len(numbers))], "x": np.array(numbers)}
    with as_source(rows, tmp_path_factory.getbasetemp() / "bits", "bank") as source:
        table = read_table(source, TableSpec(id=("id",)), "bank", to_train=False)
    np.testing.assert_array_equal(table.columns[0].numbers, np.array(numbers))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"id": ["a", "b"], "x": [1.0]}, "columns of different lengths"),
        ({}, "columns of different lengths, or none"),
        (np.zeros((3, 2)), "no column names"),
        (None, "no column names"),
        ({"id": ["a"], "x": [{1: 2}], "y": [np.zeros((2, 2))]}, "columns of"),
        ({"id": ["a"], "x": np.zeros((1, 2))}, "columns of different lengths"),
    ],
)
def test_what_is_no_table_is_said(rows: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words), as_source(rows, tmp_path / "rows", "bank"):
        pass
    with pytest.raises(UsageError, match=r"none\.csv is not at"), as_source(tmp_path / "none.csv", tmp_path, "bank"):
        pass
