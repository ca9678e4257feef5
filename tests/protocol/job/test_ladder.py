"""Rungs: which parties train together, and what they and their folders are called."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.job.ladder import Rung, folder_of, rungs


def test_auto_is_the_bank_then_each_partner_then_all_and_a_placebo():
    assert rungs("bank", ["t", "b"], "auto", True) == [
        Rung("bank", ()),
        Rung("bank+t", ("t",), number=1),
        Rung("bank+b", ("b",), number=2),
        Rung("all", ("t", "b"), number=3),
        Rung("placebo", ("t",), placebo=True, number=4),
    ]
    assert [rung.name for rung in rungs("bank", ["t"], "auto", False)] == ["bank", "bank+t"]


def test_given_rungs_keep_their_order_once_each_and_the_bank_alone_is_always_there():
    given_rungs = [["b", "bank"], ["bank", "b"], ["bank", "c", "b"]]
    names = [rung.name for rung in rungs("bank", ["b", "c", "d"], given_rungs, False)]
    assert names == ["bank", "bank+b", "bank+b+c"]
    assert [rung.name for rung in rungs("bank", ["b"], [["bank", "b"], ["bank"]], False)] == ["bank+b", "bank"]


def test_the_placebo_is_of_a_partner_that_takes_part():
    assert rungs("bank", ["b", "c"], [["bank", "c"]], True)[-1] == Rung("placebo", ("c",), placebo=True, number=2)
    assert [rung.name for rung in rungs("bank", ["b"], [["bank"]], True)] == ["bank"]


@pytest.mark.parametrize(
    ("rung", "sentence"), [(["bank", "x"], "names 'x', which is no party"), (["b"], "lacks 'bank'")]
)
def test_a_wrong_rung_is_named(rung, sentence):
    with pytest.raises(UsageError, match=sentence):
        rungs("bank", ["b"], [rung], False)


PARTIES = st.lists(st.sampled_from(["all", "placebo", "a", "b", "a+b", "b+c", "c", "银行", "all (2)"]),
                   min_size=2, max_size=6, unique=True)  # fmt: skip


@settings(deadline=None)
@given(PARTIES)
def test_no_two_rungs_have_one_name_whatever_parties_are_called(parties):
    everyone = [[parties[0], *parties[1 : k + 1]] for k in range(len(parties))]
    for ladder in ("auto", [*everyone, *([parties[0], p] for p in parties[1:])]):
        names = [rung.name for rung in rungs(parties[0], parties[1:], ladder, True)]
        assert len(set(names)) == len(names)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=2, unique=True))
def test_a_rungs_folder_is_one_folder_and_its_own(names):
    one, other = map(folder_of, names)
    assert one != other
    for folder in (one, other):
        assert "/" not in folder
        assert "\0" not in folder
        assert folder.strip(".")
        assert len(folder.encode()) <= 255


def test_a_rungs_folder_is_its_name_where_that_can_be():
    assert folder_of("bank+data bureau") == "bank+data bureau"
    assert folder_of("招商银行") == "招商银行"
    assert folder_of("..") != ".."
