"""A contract year on a small table: nothing refused, scores of unchanged rows unchanged, and books equal."""

import json
from pathlib import Path

import pytest

from experiments.studies.rehearse.document import FILE, Rehearsal
from experiments.studies.rehearse.rehearse import ABSENT_IN, area, rehearse
from protocol.errors import UsageError
from tests.e2e.tables import scenario

ROWS, MONTHS = 4000, 5


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("rehearsed")
    models = [{"kind": "boosting", "params": {"n_estimators": 40, "max_depth": 3, "max_bin": 8, "discovery": "2x2"}}]
    path = scenario(folder, rows=ROWS, models=models, contract={"max_equations_share": 0.5})
    found = rehearse(path, MONTHS, folder / "out", False, lambda *_: None)
    assert Rehearsal.model_validate(json.loads((folder / "out" / FILE).read_text())) == found
    page = (folder / "out" / "rehearsal.html").read_text(encoding="utf-8")
    assert "新增客户 AUC" in page
    return found


def test_no_request_is_refused(played):
    assert [month.refused for month in played.months] == [[]] * (MONTHS + 1)


def test_books_are_equal_every_month(played):
    assert played.books_equal
    assert all(month.books_equal for month in played.months)


def test_scores_of_rows_that_did_not_change_are_the_same_to_the_bit(played):
    compared = [month for month in played.months[1:] if not month.refitted]
    assert all(month.unchanged > 0.8 * played.months[0].known for month in compared)
    assert [month.unchanged_scores_moved for month in compared] == [0] * len(compared)


def test_scoring_asks_nobody_while_all_partners_are_there(played):
    assert [m.exchanges["scoring"] for m in played.months if not m.absent] == [0] * MONTHS
    assert [month.month for month in played.months if month.absent] == [ABSENT_IN]


def test_a_refit_sends_nothing_and_customers_arrive(played):
    assert [month.month for month in played.months if month.refitted] == [3]
    assert [month.known for month in played.months] == sorted(month.known for month in played.months)
    assert played.months[-1].known == ROWS


def test_what_is_told_grows_by_what_changed_and_not_by_information(played):
    for partner in ("telecom", "bureau"):
        told = [month.told[partner] for month in played.months]
        assert {one.information_share for one in told[1:]} == {told[0].information_share}
        assert [one.told_anew for one in told] == sorted(one.told_anew for one in told)
        assert told[0].told_anew == 0.0 < told[-1].told_anew
        assert told[-1].refreshes <= MONTHS


def test_auc_by_hand():
    import numpy as np

    assert area(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == (1 + 1 + 0.5 + 1) / 4


def test_dated_rows_are_not_played_yet(tmp_path: Path):
    path = Path(__file__).parents[3] / "experiments/scenarios/watched-loans.toml"
    with pytest.raises(UsageError, match=r"data\.as_of is not played yet"):
        rehearse(path, 3, tmp_path / "out", False, lambda *_: None)
