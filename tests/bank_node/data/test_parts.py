"""Which rows are trained on and tested: sizes, time, declared parts, and nothing that hangs on a file's order."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.data.parts import assign_parts
from bank_node.metrics.fold_assignment import assign_folds
from protocol.errors import DataError
from protocol.job import Split
from protocol.table import Source, Table, TableSpec, read_table


def table(rows: int, time: list[int] | None = None, part: list[str] | None = None) -> Table:
    """A table of alternating labels."""
    days = None if time is None else np.array(time, dtype="datetime64[D]").astype("datetime64[us]")
    ids = [f"{k:06}".encode() for k in range(rows)]
    label = np.arange(rows) % 2.0
    return Table("bank", ids, (), label=label, time=days, part=None if part is None else np.array(part, object))


@settings(deadline=None)
@given(st.integers(200, 500), st.floats(0.1, 0.4), st.floats(0, 0.4), st.integers(0, 9))
def test_random_parts_have_their_sizes_and_are_drawn_by_the_seed(rows, test, validation, seed):
    split = Split(test=test, validation=validation, seed=seed)
    parts = assign_parts(split, table(rows))
    assert (parts == "test").sum() == round(test * rows)
    assert (parts == "validation").sum() == round(validation * rows)
    assert (parts == assign_parts(split, table(rows))).all()
    assert (parts != assign_parts(split.model_copy(update={"seed": seed + 1}), table(rows))).any()


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=60, max_size=200), st.sampled_from([0.0, 0.2]))
def test_by_time_the_newest_rows_are_the_test_and_a_moment_stays_together(days, validation):
    if len(set(days)) < 10:
        days = [*days, *range(100, 120)]
    made = table(len(days), days)
    try:
        parts = assign_parts(Split(kind="time", test=0.25, validation=validation, in_time=0.0), made)
    except DataError:  # one moment took all rows of a part
        return
    order = {"train": 0, "validation": 1, "test": 2}
    rank = np.array([order[part] for part in parts])
    by_day = np.argsort(days, kind="stable")
    assert (np.diff(rank[by_day]) >= 0).all()
    for day in set(days):
        assert len(set(parts[np.array(days) == day])) == 1
    assert (parts == "test").sum() >= round(0.25 * len(days))


@pytest.mark.parametrize(("part", "lacking"), [("train", "train"), ("test", "test")])
def test_rows_without_weight_make_no_class(part, lacking):
    made = table(40, part=["train"] * 20 + ["test"] * 20)
    weight = np.where((made.part == part) & (made.label == 1), 0.0, 1.0)
    with pytest.raises(DataError, match=f"the {lacking} part has not both classes of a weight above 0"):
        assign_parts(Split(kind="column", column="part"), replace(made, weight=weight))


def test_an_embargo_leaves_out_the_days_before_a_later_part():
    days = list(range(100)) * 2
    split = Split(kind="time", test=0.2, validation=0.1, embargo=5, in_time=0.0)
    parts = assign_parts(split, table(200, sorted(days)))
    of_day = dict(zip(sorted(days), parts.tolist(), strict=True))
    runs = [(of_day[d], d) for d in range(100) if d == 0 or of_day[d] != of_day[d - 1]]
    assert runs == [("train", 0), ("embargo", 66), ("validation", 70), ("embargo", 76), ("test", 80)]


@settings(deadline=None)
@given(st.floats(0.05, 0.5), st.integers(0, 9))
def test_rows_tested_in_time_are_drawn_from_those_left_to_train_on(share, seed):
    made = table(300, list(range(300)))
    whole = assign_parts(Split(kind="time", in_time=0.0), made)
    parts = assign_parts(Split(kind="time", in_time=share, seed=seed), made)
    drawn = parts == "in_time"
    assert drawn.sum() == round(share * (whole == "train").sum())
    assert (parts[~drawn] == whole[~drawn]).all()
    assert (whole[drawn] == "train").all()
    other = assign_parts(Split(kind="time", in_time=share, seed=seed + 1), made)
    assert (drawn != (other == "in_time")).any()


def test_rows_that_leave_no_class_to_either_are_not_drawn():
    made = table(4, [1, 2, 3, 4])
    parts = assign_parts(Split(kind="time", test=0.5, in_time=0.5), made)
    assert parts.tolist() == ["train", "train", "test", "test"]


def test_declared_parts_are_taken_as_they_are():
    made = table(6, part=["train", " Train", "validation", "TEST", "test", "validation"])
    parts = assign_parts(Split(kind="column", column="part"), made)
    assert parts.tolist() == ["train", "train", "validation", "test", "test", "validation"]


def test_any_other_part_is_refused():
    with pytest.raises(DataError, match="column 'part' has 2 values other than train, validation, test"):
        assign_parts(Split(kind="column", column="part"), table(4, part=["train", "test", "holdout", None]))


def test_a_part_without_both_classes_is_refused():
    made = table(4, part=["train", "test", "train", "test"])
    with pytest.raises(DataError, match="the train part has not both classes"):
        assign_parts(Split(kind="column", column="part"), made)


def test_parts_belong_to_ids_whatever_the_order_of_the_file(tmp_path):
    rows = [f"c{k},{k % 2},{k},2024-01-{1 + k % 28:02}" for k in range(80)]
    by_id = []
    for name, lines in (("a", rows), ("b", rows[::-1]), ("c", rows[1::2] + rows[::2])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["id,y,x,t", *lines]))
        read = read_table(Source(kind="csv", path=path), TableSpec(id=("id",), label="y", time="t"), "bank")
        kinds = [Split(test=0.3, validation=0.1), Split(kind="time", test=0.3)]
        by_id.append([dict(zip(read.ids, assign_parts(split, read), strict=True)) for split in kinds])
    assert by_id[0] == by_id[1] == by_id[2]


def test_without_a_test_share_all_rows_are_trained_on():
    split = Split(test=0.1).model_copy(update={"test": 0.0, "validation": 0.2})
    parts = assign_parts(split, table(100))
    assert [(parts == name).sum() for name in ("train", "validation", "test")] == [80, 20, 0]
    with pytest.raises(DataError, match="the train part has not both classes"):
        assign_parts(split, table(1))


@pytest.mark.parametrize("kind", ["random", "time"])
def test_folds_cut_the_rows_trained_on_and_no_others(kind):
    split = Split(kind=kind, test=0.2, validation=0.1, folds=4)
    made = table(400, list(range(400)))
    train = assign_parts(split, made) == "train"
    (folds,) = assign_folds(split, made, train, "binary")
    assert ((folds > 0) == train).all()
    for bad in (0, 1):
        sizes = np.bincount(folds[train & (made.label == bad)])[1:]
        assert sizes.max() - sizes.min() <= 1


def test_each_repeat_cuts_the_rows_anew_and_the_first_as_without_repeats():
    made, train = table(400), np.arange(400) < 300
    once = assign_folds(Split(folds=4), made, train, "binary")
    cuts = assign_folds(Split(folds=4, repeats=3), made, train, "binary")
    assert (cuts[0] == once[0]).all()
    assert [sorted(set(cut[train])) for cut in cuts] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert all(((cut > 0) == train).all() for cut in cuts)
    together = [(cut[:, None] == cut)[np.ix_(train, train)] for cut in cuts]
    assert all((a & b).sum() / a.sum() < 0.3 for a, b in combinations(together, 2)), "by chance a quarter stay together"
    assert (cuts == assign_folds(Split(folds=4, repeats=3), made, train, "binary")).all()


def test_too_few_rows_for_the_folds_are_refused():
    with pytest.raises(DataError, match="too few rows for 20 folds"):
        assign_folds(Split(folds=20), table(30), np.ones(30, dtype=bool), "binary")
