"""Columns of grades: their order as listed or by name, and values that are not listed."""

import pytest
from pydantic import ValidationError

from protocol.errors import DataError
from protocol.table import Source, TableSpec, read_table


def read(folder, grades, ordered, to_train=True):
    path = folder / "t.csv"
    path.write_text("id,g\n" + "".join(f"{k},{grade}\n" for k, grade in enumerate(grades)))
    spec = TableSpec(id=("id",), columns=("g",), ordered={"g": ordered})
    return read_table(Source(kind="csv", path=path), spec, "bank", to_train=to_train).columns[0]


def test_grades_are_in_the_order_listed_and_unseen_ones_have_their_place(tmp_path):
    column = read(tmp_path, ["low", "high", "", "low"], ("low", "middle", "high"))
    assert (column.categories, column.ordered) == (("low", "middle", "high"), True)
    assert column.codes.tolist() == [0, 2, -1, 0]


def test_grades_by_name_sort_numbers_as_numbers(tmp_path):
    assert read(tmp_path, ["B10", "A1", "B2"], "by_name").categories == ("A1", "B2", "B10")
    assert read(tmp_path, ["10", "9", "1"], "by_name").categories == ("1", "9", "10")


@pytest.mark.parametrize("grades", [["5%", "10%", "20%"], ["2024-01", "2024-02", "2024-10"], ["$1,000", "$2,000", "-"]])
def test_grades_that_would_be_read_as_numbers_or_dates_stay_grades(tmp_path, grades):
    column = read(tmp_path, [f'"{grade}"' for grade in grades], tuple(grades))
    assert (column.kind, column.categories, column.ordered) == ("category", tuple(grades), True)
    assert column.codes.tolist() == [0, 1, 2]


def test_a_value_that_is_not_listed_is_refused_in_training_and_missing_in_scoring(tmp_path):
    with pytest.raises(DataError, match="'C1', which is not among its ordered values"):
        read(tmp_path, ["A1", "B1", "C1"], ("A1", "B1"))
    assert read(tmp_path, ["A1", "B1", "C1"], ("A1", "B1"), to_train=False).codes.tolist() == [0, 1, -1]


def test_a_value_listed_twice_is_an_error():
    with pytest.raises(ValidationError, match="has 'A' twice"):
        TableSpec(id=("id",), ordered={"g": ("A", "B", "A")})
