"""Budgets: spent once, within their limit, and not forgotten by a restart."""

from pathlib import Path

import numpy as np
import pytest

from partner_node.algorithms.information import Information
from partner_node.policy.budgets import FLOOD_BUDGET, Allowance, Asked, Budgets, Run
from protocol.algorithms.boosting import Split
from protocol.errors import IntegrityError, RefusedError, UsageError
from protocol.he.base import OneHot

WHO = ("bank", "data")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budgets.sqlite"


def _run(budgets: Budgets, job: str = "a" * 64, nonce: bytes = b"n" * 32, uses: int | None = None) -> Run:
    return budgets.open_run(*WHO, job, nonce, b"e" * 32, uses)


def _spend(
    budgets: Budgets, run: Run, labels: list[str], each: int, limit: int | None = None, *, approved: int | None = None,
    request: bytes = b"question", alignment: str = "rows",
) -> list[str]:  # fmt: skip
    asked = [Asked(label.partition("/")[0], label, request, each) for label in labels]
    planned = None if approved is None else {"sums": approved}
    return [one.label for one in budgets.spend(*WHO, alignment, run, asked, Allowance(limit, planned))]


def test_equations_are_spent_once_and_survive_a_restart(path):
    budgets = Budgets(path, "telecom")
    run = _run(budgets)
    assert _spend(budgets, run, ["1", "2"], 2, 6) == ["1", "2"]
    assert _spend(budgets, run, ["1", "2"], 2, 6) == []
    other = _run(budgets, "b" * 64)
    _spend(budgets, other, ["3"], 1, 6)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.equations(*WHO) == 5
    assert budgets.equations(*WHO, "a" * 64) == budgets.equations(*WHO, "a" * 64, 1) == 4
    with pytest.raises(
        RefusedError, match=r"5 of 6 equations are released for life .contract clause max_equations_share"
    ):
        _spend(budgets, other, ["4", "5"], 1, 6)
    assert budgets.equations(*WHO) == 5, "a refusal spends nothing"
    assert _spend(budgets, other, ["4"], 1, 6, request=b"another") == ["4"], "and burns no label"
    _spend(budgets, other, ["counted only"], 2)
    assert budgets.equations(*WHO) == 8
    assert budgets.equations("another bank", "data") == budgets.equations("bank", "other data") == 0


def test_a_label_is_answered_once_whatever_else_changes(path):
    """Another hint, layout, alignment, run object or restart: the label is the bank's and the account's."""
    budgets = Budgets(path, "telecom")
    run = _run(budgets)
    _spend(budgets, run, ["1"], 2)
    budgets.close()
    budgets = Budgets(path, "telecom")
    with pytest.raises(IntegrityError, match="second, different question under one label"):
        _spend(budgets, run, ["1"], 2, request=b"another", alignment="other rows")
    assert _spend(budgets, run, ["1"], 2, alignment="other rows") == []


def test_a_run_has_a_number_an_epoch_and_a_use(path):
    budgets = Budgets(path, "telecom")
    first = _run(budgets, uses=2)
    assert _run(budgets, uses=2) == first, "the same nonce is the same run"
    second = budgets.open_run(*WHO, "a" * 64, b"m" * 32, b"f" * 32, 2)
    assert (first.number, second.number) == (1, 2)
    assert first.epoch != second.epoch
    assert first.subject != second.subject
    with pytest.raises(RefusedError, match="approved for 2 runs, and all are used"):
        budgets.open_run(*WHO, "a" * 64, b"o" * 32, b"g" * 32, 2)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.run(*WHO, "a" * 64, 2) == second
    with pytest.raises(IntegrityError, match="run 3 of a job that it has not opened"):
        budgets.run(*WHO, "a" * 64, 3)
    assert "e" * 32 not in repr(first)


def test_an_approved_run_has_its_plan_s_equations(path):
    budgets = Budgets(path, "telecom")
    run, again = _run(budgets), budgets.open_run(*WHO, "a" * 64, b"m" * 32, b"f" * 32, None)
    _spend(budgets, run, ["sums/1"], 2, approved=3)
    with pytest.raises(RefusedError, match="approved file plans 3 equations of boosted trees, and more are asked"):
        _spend(budgets, run, ["sums/2"], 2, approved=3)
    assert _spend(budgets, again, ["sums/3"], 2, approved=3) == ["sums/3"], "another run has its own"


@pytest.mark.parametrize(("kind", "named"), [("counts", "bin tables"), ("cross", "linear models"), ("other", "other")])
def test_equations_that_were_approved_as_noisy_sums_are_not_spent_as_exact_ones(path, kind, named):
    budgets = Budgets(path, "telecom")
    run = _run(budgets)
    with pytest.raises(RefusedError, match=rf"plans no equations (of )?{named}, and more"):
        _spend(budgets, run, [f"{kind}/1"], 2, approved=1000)
    assert budgets.equations(*WHO) == 0
    _spend(budgets, run, ["sums/1"], 1000, approved=1000)
    assert _spend(budgets, run, [f"{kind}/1"], 0, approved=1000) == [f"{kind}/1"], "what is no equation is free"


def _spend_both(budgets: Budgets, run: Run) -> None:
    with budgets.spending():
        _spend(budgets, run, ["1"], 2)
        budgets.spend_flood(b"hint", 1.0)


def test_all_that_a_request_spends_is_spent_or_nothing_is(path):
    budgets = Budgets(path, "telecom")
    run = _run(budgets)
    budgets.spend_flood(b"hint", FLOOD_BUDGET)
    with pytest.raises(RefusedError, match="flood"):
        _spend_both(budgets, run)
    assert budgets.equations(*WHO) == 0
    assert _spend(budgets, run, ["1"], 2, request=b"another") == ["1"], "the label is not burnt"


def test_flooding_is_refused_past_its_life(path):
    budgets = Budgets(path, "telecom")
    budgets.spend_flood(b"hint", FLOOD_BUDGET * 0.6)
    budgets.close()
    budgets = Budgets(path, "telecom")
    assert budgets.flood_spent(b"hint") == pytest.approx(FLOOD_BUDGET * 0.6)
    with pytest.raises(RefusedError, match="flood budget of its hint is spent"):
        budgets.spend_flood(b"hint", FLOOD_BUDGET * 0.5)
    budgets.spend_flood(b"another hint", FLOOD_BUDGET * 0.5)


def test_one_seed_serves_one_matrix(path):
    budgets = Budgets(path, "telecom")
    budgets.admit_seed(b"seed", b"matrix")
    budgets.admit_seed(b"seed", b"matrix")
    with pytest.raises(IntegrityError, match="one seed for two matrices"):
        budgets.admit_seed(b"seed", b"another")


def test_what_stands_for_bins_is_fixed_once(path):
    budgets = Budgets(path, "telecom")
    budgets.admit_encoding(*WHO, "run/model/column", b"values")
    budgets.admit_encoding(*WHO, "run/model/column", b"values")
    with pytest.raises(IntegrityError, match="names other values for the bins of a column"):
        budgets.admit_encoding(*WHO, "run/model/column", b"digits")


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


def test_what_a_split_would_tell_of_its_column_and_of_all():
    """The first split of a column counts nothing as a share of it: a column of two bins has no other."""
    bins = np.repeat([0, 1, 2, 3], [10, 20, 30, 40]).astype(np.uint8)[:, None]
    meter = Information(OneHot(np.hstack([bins, bins]), np.array([4, 4]), 100, np.arange(100)), [4, 4], False)
    first = meter.after(Split(0, (0,)))
    assert (first.column, first.bits) == (0.0, pytest.approx(entropy([10, 90])))
    meter.reveal(Split(0, (0,)))
    second = meter.after(Split(0, (0, 1)))
    assert second.column == pytest.approx(entropy([10, 20, 70]) / entropy([10, 20, 30, 40]))
    assert second.bits == pytest.approx(entropy([10, 20, 70]))
    assert meter.after(Split(1, (0,))).bits == pytest.approx(2 * entropy([10, 90]))
    assert meter.told[1] == 0


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


def test_the_files_of_an_account_are_recorded(path):
    budgets = Budgets(path, "telecom")
    for sha256 in ("c" * 64, "d" * 64, "c" * 64):
        budgets.open_account("table", sha256)
    assert [sha256 for sha256, _ in budgets.files("table")] == ["c" * 64, "d" * 64]
