"""Ids of two files agree when they mean the same rows, and only then."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.table.ids import id_order, normalise_ids

texts = st.text(min_size=1, max_size=12).filter(lambda text: unicodedata.normalize("NFKC", text).strip())
awkward = st.text(alphabet="a|\\ 0.", min_size=1, max_size=5).filter(str.strip)


def one(value) -> bytes:
    return normalise_ids([[value]], "bank", "loans.csv")[0]


@settings(deadline=None)
@given(st.integers(1 - 2**53, 2**53 - 1))
def test_a_whole_number_is_one_id_however_it_is_stored(number):
    forms = [number, np.int64(number), float(number), np.float64(number), str(number), f" {number}\t", f"{number}.0"]
    assert {one(form) for form in forms} == {str(number).encode()}


@settings(deadline=None)
@given(texts)
def test_normalising_twice_changes_nothing(text):
    once = one(text).decode()
    assert one(once).decode() == once


@settings(deadline=None)
@given(texts)
def test_every_unicode_form_of_a_text_is_one_id(text):
    composed = unicodedata.normalize("NFKC", text)
    assert {one(unicodedata.normalize(form, composed)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {one(text)}


@pytest.mark.parametrize(
    ("one_form", "another"),
    [("Ａ１", "A1"), ("ﬁ", "fi"), ("\u00a0张三\u3000", "张三"), ("e\u0301", "é"), ("7.00", 7)],
)
def test_forms_that_agree(one_form, another):
    assert one(one_form) == one(another)


@pytest.mark.parametrize(
    ("one_form", "another"), [("007", 7), ("007.0", 7), ("7.5", 7), ("A1", "a1"), ("7.0.0", "7"), ("1e3", 1000)]
)
def test_forms_that_do_not_agree(one_form, another):
    assert one(one_form) != one(another)


@settings(deadline=None)
@given(st.lists(st.tuples(awkward, awkward, awkward), min_size=2, max_size=2, unique=True))
def test_joined_columns_are_never_confused(rows):
    """Two rows have one id if and only if they agree column by column."""
    alike = all(one(a) == one(b) for a, b in zip(*rows, strict=True))
    try:
        ids = normalise_ids(list(zip(*rows, strict=True)), "bank", "loans.csv")
    except DataError:
        assert alike
    else:
        assert not alike
        assert len(set(ids)) == 2


def test_joined_columns_are_written_as_documented():
    assert normalise_ids([["a|b"], ["c\\d"], [3.0]], "bank", "loans.csv") == [b"a\\|b|c\\\\d|3"]


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=20, unique_by=one), st.randoms())
def test_the_order_of_ids_is_not_the_order_of_the_file(values, random):
    shuffled = random.sample(values, len(values))
    ids, others = (normalise_ids([v], "bank", "loans.csv") for v in (values, shuffled))
    assert [ids[k] for k in id_order(ids)] == [others[k] for k in id_order(others)] == sorted(ids)


@pytest.mark.parametrize("gap", [None, float("nan"), np.datetime64("NaT"), "", "  ", "\u3000"])
def test_a_null_id_is_named_by_its_row(gap):
    with pytest.raises(DataError, match=r"^bank: 2 null ids in loans.csv, at rows 2, 4; fill"):
        normalise_ids([["a", gap, "b", gap]], "bank", "loans.csv")


def test_a_row_is_null_if_any_of_its_id_columns_is():
    with pytest.raises(DataError, match=r"1 null id in loans.csv, at row 2;"):
        normalise_ids([["a", "b"], [1, None]], "bank", "loans.csv")


def test_a_duplicate_id_is_named_by_its_rows_and_never_shown():
    with pytest.raises(DataError, match=r"7 duplicate ids in calls.csv, at rows 2, 3, 4, 5, 6 \.\.\.; keep") as caught:
        normalise_ids([["secret-41"] * 8], "telecom", "calls.csv")
    assert "secret" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("columns", [[], [[]], [[], []]])
def test_an_empty_table_is_named(columns):
    with pytest.raises(DataError, match=r"loans.csv has no ids"):
        normalise_ids(columns, "bank", "loans.csv")


@pytest.mark.parametrize("values", [[1.0, 2.0**53, 3.0], [1.0, -(2.0**60), None], [1.0, np.float64(2.0**53), np.nan]])
def test_floats_that_blur_whole_numbers_are_no_ids(values):
    """2^53 and 2^53 + 1 are one float: two customers would be one."""
    with pytest.raises(
        DataError,
        match=r"1 id in calls.csv, at row 2, are floats too large to tell apart; write .* whole numbers or as",
    ):
        normalise_ids([values], "telecom", "calls.csv")
    assert normalise_ids([[1.0, 2.0**53 - 1]], "telecom", "calls.csv")[1] == b"9007199254740991"
