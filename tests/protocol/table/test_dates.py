"""Points in time: the record used is the latest one not after the date, and a grid never looks ahead."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.table.dates import Grid, coded, date_texts, grid_keys, latest, lay_out, require_not_after

DAY = 86_400_000_000
PERIODS = ["day", "week", "month", "quarter", "year"]
moments = st.integers(0, 400 * DAY)
dated = st.lists(st.tuples(st.integers(0, 4), moments), min_size=1, max_size=30, unique=True)


def as_moments(values):
    return np.datetime64("2023-01-01", "us") + np.array(values, dtype="timedelta64[us]")


def brute_force(records, entity, at):
    """The row of the latest record of an entity not after a moment."""
    fit = [(moment, row) for row, (who, moment) in enumerate(records) if who == entity and moment <= at]
    return max(fit)[1] if fit else -1


@settings(max_examples=200, deadline=None)
@given(records=dated, asked=dated)
def test_latest_equals_a_join_by_brute_force(records, asked):
    codes, at = np.array([e for e, _ in records]), as_moments([m for _, m in records])
    found = latest(codes, at, np.array([e for e, _ in asked]), as_moments([m for _, m in asked]))
    assert found.tolist() == [brute_force(records, *one) for one in asked]


@settings(max_examples=200, deadline=None)
@given(records=dated, asked=dated, period=st.sampled_from(PERIODS), first=st.dates(date(2022, 1, 1), date(2023, 1, 1)))
def test_on_a_grid_no_value_is_of_a_later_date(records, asked, period, first):
    grid = Grid(period, first, date(2024, 3, 1))
    entities = [b"e%d" % e for e, _ in records]
    keys, rows = lay_out(entities, as_moments([m for _, m in records]), grid)
    row_of = dict(zip(keys, rows.tolist(), strict=True))
    assert len(row_of) == len(keys)
    for who, moment in asked:
        (at,) = as_moments([moment])
        place = int(grid.places(np.array([at]))[0])
        point = grid.points[place]
        assert point <= at
        assert place + 1 == len(grid.points) or grid.points[place + 1] > at
        (key,) = grid_keys([b"e%d" % who], np.array([at]), grid, "bank")
        used = row_of.get(key, -1)
        assert used == brute_force(records, who, int((point - as_moments([0])[0]).astype(np.int64)))
        assert used < 0 or as_moments([records[used][1]])[0] <= at


def test_points_of_a_grid():
    texts = date_texts(Grid("month", date(2023, 1, 31), date(2023, 5, 15)).points)
    assert texts == ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30"]
    assert date_texts(Grid("month", date(2023, 2, 28), date(2023, 3, 31)).points) == ["2023-02-28", "2023-03-31"]
    assert date_texts(Grid("month", date(2024, 1, 30), date(2024, 3, 31)).points) == [
        "2024-01-30", "2024-02-29", "2024-03-30",
    ]  # fmt: skip
    assert date_texts(Grid("quarter", date(2023, 1, 1), date(2023, 7, 1)).points) == [
        "2023-01-01", "2023-04-01", "2023-07-01",
    ]  # fmt: skip
    assert date_texts(Grid("week", date(2023, 1, 2), date(2023, 1, 15)).points) == ["2023-01-02", "2023-01-09"]
    assert len(Grid("day", date(2023, 1, 1), date(2023, 12, 31)).points) == 365


def test_rows_that_cannot_stand_on_the_grid_are_refused():
    grid = Grid("month", date(2023, 1, 31), date(2023, 6, 30))
    for day in ("2023-01-30", "2023-07-01"):
        with pytest.raises(DataError, match="1 rows dated outside of 2023-01-31 to 2023-06-30"):
            grid_keys([b"a"], np.array([day], dtype="datetime64[us]"), grid, "bank")
    assert grid_keys([b"a"], np.array(["2023-06-30T23:59"], dtype="datetime64[us]"), grid, "bank") == [b"a|2023-06-30"]
    with pytest.raises(DataError, match="1 further rows of an id in one month"):
        grid_keys([b"a", b"a"], np.array(["2023-02-01", "2023-02-02"], dtype="datetime64[us]"), grid, "bank")


def test_a_record_after_its_snapshot_is_refused():
    records = np.array(["2023-03-31T23:59", "2023-04-01"], dtype="datetime64[us]")
    require_not_after(records, date(2023, 4, 1), "tax", "t.csv")
    require_not_after(records, None, "tax", "t.csv")
    with pytest.raises(DataError, match=r"t\.csv has 1 records dated after its snapshot of 2023-03-31"):
        require_not_after(records, date(2023, 3, 31), "tax", "t.csv")


def test_entities_are_coded_in_order():
    names, codes = coded([b"b", b"a", b"b"])
    assert names == [b"a", b"b"]
    assert codes.tolist() == [1, 0, 1]
