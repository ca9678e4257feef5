"""Reasons: the strongest shares above 0, by characteristic; of a party that keeps its names, one sum."""

import numpy as np

from bank_node.decisions.reasons import MOST, Reason, reasons_of

FEATURES = [("bank", "age"), ("telecom", "calls"), ("telecom", "towers"), ("bureau", "loans")]


def test_strongest_first_and_none_that_lowers_the_risk():
    shares = np.array([[0.1, 0.5, -0.2, 0.3], [-1.0, -0.1, 0.0, -0.2]])
    first, second = reasons_of(FEATURES, shares, ())
    assert first == (Reason("telecom", "calls", 0.5), Reason("bureau", "loans", 0.3), Reason("bank", "age", 0.1))
    assert [str(reason) for reason in first[:1]] == ["telecom: calls +0.500"]
    assert second == ()


def test_a_party_that_keeps_its_names_has_one_reason():
    hidden = {("telecom", "calls"), ("telecom", "towers")}
    ((first, *others),) = reasons_of(FEATURES, np.array([[0.1, 0.5, -0.3, 0.15]]), hidden)
    assert str(first) == "telecom +0.200"
    assert [reason.party for reason in others] == ["bureau", "bank"]


def test_a_party_may_name_some_columns_and_keep_others():
    (found,) = reasons_of(FEATURES, np.array([[0.1, 0.5, 0.3, 0.15]]), {("telecom", "towers"), ("bureau", "loans")})
    assert [str(reason) for reason in found] == [
        "telecom: calls +0.500",
        "telecom +0.300",
        "bureau +0.150",
        "bank: age +0.100",
    ]


def test_no_more_than_four():
    features = [("bank", f"x{k}") for k in range(9)]
    (found,) = reasons_of(features, np.arange(9.0)[None, :], ())
    assert [reason.column for reason in found] == ["x8", "x7", "x6", "x5"]
    assert len(found) == MOST
