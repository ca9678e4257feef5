"""Budgets: spent once, within their limit, and not forgotten by a restart."""

from pathlib import Path

import numpy as np
import pytest

from partner_node.algorithms.information import Information
from partner_node.policy.budgets import FLOOD_BUDGET, Budgets
from protocol.algorithms.boosting import Split
from protocol.errors import IntegrityError, RefusedError, UsageError
from protocol.he.base import OneHot

WHO = ("bank", "data")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budgets.sqlite"


def test_equations_are_spent_once_and_survive_a_restart(path):
    budgets = Budgets(path, "telecom")
    budgets.spend_equations(*WHO, "alignment", ["job/1", "job/2"], 2, 6)
    budgets.spend_equations(*WHO, "alignment", ["job/1", "job/2"], 2, 6)
    budgets.spend_equations(*WHO, "alignment", ["other/1"], 1, 6)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.equations(*WHO) == 5
    assert budgets.equations(*WHO, "job/") == 4
    with pytest.raises(
        RefusedError, match=r"5 of 6 equations are released for life .contract clause max_equations_share"
    ):
        budgets.spend_equations(*WHO, "alignment", ["other/2", "other/3"], 1, 6)
    assert budgets.equations(*WHO) == 5, "a refusal spends nothing"
    budgets.spend_equations(*WHO, "alignment", ["other/2"], 1, 6)
    budgets.spend_equations(*WHO, "alignment", ["counted only"], 2, None)
    assert budgets.equations(*WHO) == 8
    with pytest.raises(IntegrityError, match="label of another alignment"):
        budgets.spend_equations(*WHO, "another alignment", ["job/1"], 2, None)
    assert budgets.equations("another bank", "data") == budgets.equations("bank", "other data") == 0


def test_flooding_is_spent_once_and_refused_past_its_life(path):
    budgets = Budgets(path, "telecom")
    budgets.admit_answer(b"hint", "a", b"query", FLOOD_BUDGET * 0.6)
    budgets.admit_answer(b"hint", "a", b"query", FLOOD_BUDGET * 0.6)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.flood_spent(b"hint") == pytest.approx(FLOOD_BUDGET * 0.6)
    with pytest.raises(RefusedError, match="flood budget of its hint is spent"):
        budgets.admit_answer(b"hint", "b", b"query", FLOOD_BUDGET * 0.5)
    budgets.admit_answer(b"another hint", "b", b"query", FLOOD_BUDGET * 0.5)


def test_one_label_serves_one_query_and_one_seed_one_matrix(path):
    budgets = Budgets(path, "telecom")
    budgets.admit_answer(b"hint", "a", b"query", 1.0)
    with pytest.raises(IntegrityError, match="second, different query under one label"):
        budgets.admit_answer(b"hint", "a", b"another", 1.0)
    budgets.admit_seed(b"seed", b"matrix")
    budgets.admit_seed(b"seed", b"matrix")
    with pytest.raises(IntegrityError, match="one seed for two matrices"):
        budgets.admit_seed(b"seed", b"another")


def test_revealed_splits_and_shares_are_kept_by_binning(path):
    budgets = Budgets(path, "telecom")
    first, second = Split(0, (0, 1)), Split(1, (0,))
    for split in (first, second, first):
        budgets.reveal(*WHO, b"bins", "alignment", split, b"")
    budgets.set_share(*WHO, b"bins", 0.2)
    budgets.set_share(*WHO, b"other bins", 0.1)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.revealed(*WHO, b"bins", None) == [(first, b""), (second, b"")]
    assert budgets.revealed(*WHO, b"bins", "another alignment") == []
    assert budgets.other_shares(*WHO, b"bins") == pytest.approx(0.1)


def test_a_folder_in_its_place_is_told_in_a_sentence(path):
    path.mkdir()
    with pytest.raises(UsageError, match=r"telecom: .*cannot be used"):
        Budgets(path, "telecom")


def entropy(counts: list[int]) -> float:
    chances = np.array(counts) / sum(counts)
    return float(-(chances * np.log2(chances)).sum())


def test_information_share_is_the_entropy_of_what_can_be_told_apart():
    bins = np.repeat([0, 1, 2, 3, 4], [10, 20, 30, 25, 15]).astype(np.uint8)[:, None]
    matrix = OneHot(bins, np.array([5]), 100, np.arange(100))
    for by_row in (False, True):
        told = Information(matrix, [4], by_row)
        assert told.share == 0
        told.reveal(Split(0, (0, 1)))
        assert told.share == pytest.approx(entropy([30, 55, 15]) / entropy([10, 20, 30, 25, 15]))
        assert told.share_after(Split(0, (0,))) == pytest.approx(
            entropy([10, 20, 55, 15]) / entropy([10, 20, 30, 25, 15])
        )
        told.reveal(Split(0, (0, 1)))
        assert told.share == pytest.approx(entropy([30, 55, 15]) / entropy([10, 20, 30, 25, 15])), "asked again is free"
        for cut in range(1, 4):
            told.reveal(Split(0, tuple(range(cut))))
        assert told.share == pytest.approx(1.0)


def test_a_node_tells_only_of_its_rows():
    bins = np.repeat([0, 1], [50, 50]).astype(np.uint8)[:, None]
    told = Information(OneHot(bins, np.array([2]), 100, np.arange(100)), [2], True)
    told.reveal(Split(0, (0,)), np.arange(100) % 2 == 0)
    assert told.share == pytest.approx(0.5)


def test_what_nodes_tell_is_to_the_last_digit_the_same_for_any_order_of_the_rows():
    draws = np.random.default_rng(3)
    bins = draws.integers(0, 7, (3111, 1)).astype(np.uint8)
    nodes = draws.random((4, 3111)) < 0.3

    def share(order: np.ndarray) -> float:  # type: ignore[type-arg]
        told = Information(OneHot(bins[order], np.array([7]), 3111, np.arange(3111)), [6], True)
        for cut, node in enumerate(nodes, start=1):
            told.reveal(Split(0, tuple(range(cut))), node[order])
        return told.share

    assert len({share(draws.permutation(3111)) for _ in range(20)}) == 1


def test_what_was_released_before_there_were_accounts_joins_the_first_one(path):
    budgets = Budgets(path, "telecom")
    for data in ("a" * 64, "b" * 64):  # as earlier versions kept it, by the SHA-256 of each file
        budgets.spend_equations("bank", data, "alignment", ["job/1"], 2, None)
        budgets.set_share("bank", data, b"bins", 0.1)
    budgets.open_account("table", "c" * 64)
    assert budgets.equations("bank", "table", "job/") == 4
    assert budgets.other_shares("bank", "table", b"") == pytest.approx(0.2)
    budgets.open_account("table", "d" * 64)
    budgets.open_account("another table", "d" * 64)
    assert [sha256 for sha256, _ in budgets.files("table")] == ["c" * 64, "d" * 64]
    assert budgets.equations("bank", "table") == 4
    assert budgets.equations("bank", "another table") == 0
