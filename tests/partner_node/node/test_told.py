"""Sides told on a newer version: what has changed is counted, a version of few changes is held back."""

from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partner_node.algorithms.boosting import KeptHandle
from partner_node.config import PartnerConfig, load_config
from partner_node.node.exact import LEAST_ROWS, require_exact
from partner_node.node.holdings import Holdings, open_holdings
from partner_node.node.publishing import publish
from partner_node.node.told import LEAST_CHANGED, MISSING, ToldSides
from protocol.algorithms.binning import Cutting, fit_rule
from protocol.contract import Contract
from protocol.errors import RefusedError
from tests.partner_node.node.test_publishing import NODE

ROWS = 400
CALLS = np.arange(ROWS) % 40


def write(path: Path, calls: np.ndarray, first: int = 0) -> Path:
    lines = ["id,calls"] + [f"C{first + k:04},{value}" for k, value in enumerate(calls.tolist())]
    path.write_text("\n".join(lines) + "\n")
    return path


def made(folder: Path) -> PartnerConfig:
    """A node's settings and its first version."""
    (folder / "node.toml").write_text(NODE)
    write(folder / "table.csv", CALLS)
    return load_config(folder / "node.toml")


def opened(config: PartnerConfig) -> Holdings:
    return open_holdings(config.with_published(), None)


def handles(own: Holdings) -> list[KeptHandle]:
    """Two splits of the column."""
    rule = fit_rule(own.table.columns[0], Cutting(4), 20)
    return [KeptHandle("calls", rule, (0,)), KeptHandle("calls", rule, (0, 1))]


def below(own: Holdings, split: KeptHandle) -> np.ndarray:
    """Which values go left, worked out from the first version by hand."""
    quarter = len(split.left) * 10
    return own.table.columns[0].numbers < quarter


def trained(folder: Path) -> tuple[PartnerConfig, list[KeptHandle]]:
    config = made(folder)
    own = opened(config)
    splits = handles(own)
    ToldSides(own).remember(splits)
    own.close()
    return config, splits


def test_a_training_then_the_same_version_spends_nothing(tmp_path):
    config, splits = trained(tmp_path)
    own = opened(config)
    told = ToldSides(own)
    sides = told.answer(splits, Contract(refreshes=0))
    assert [side.tolist() for side in sides] == [below(own, split).astype(int).tolist() for split in splits]
    assert (told.refreshes.spent, told.refreshes.told_anew) == (0, 0.0)
    own.close()


def test_a_newer_version_is_one_refresh_and_counts_rows_that_changed_sides(tmp_path):
    config, splits = trained(tmp_path)
    calls = CALLS.copy()
    calls[:60] = 39
    publish(config, write(tmp_path / "july.csv", calls))
    own = opened(config)
    told = ToldSides(own)
    sides = told.answer(splits, Contract())
    expected = 0.0
    for split, side in zip(splits, sides, strict=True):
        then, now = len(split.left) * 10 > CALLS, calls < len(split.left) * 10
        assert side.tolist() == now.astype(int).tolist()
        expected += -log2((~now).mean()) * int((then & ~now).sum()) / ROWS
    assert told.refreshes.spent == 1
    assert told.refreshes.told_anew == pytest.approx(expected, rel=1e-12)
    for _ in range(2):  # a retry, and a restart
        assert [s.tolist() for s in ToldSides(own).answer(splits, Contract(refreshes=1))] == [s.tolist() for s in sides]
    assert (told.refreshes.spent, told.refreshes.told_anew) == (1, pytest.approx(expected, rel=1e-12))
    own.close()


def test_what_exceeds_a_clause_is_neither_told_nor_spent(tmp_path):
    config, splits = trained(tmp_path)
    publish(config, write(tmp_path / "july.csv", CALLS[::-1]))
    own = opened(config)
    told = ToldSides(own)
    for contract, clause in ((Contract(refreshes=0), "refreshes"), (Contract(max_told_anew=0.01), "max_told_anew")):
        with pytest.raises(RefusedError, match=f"contract clause {clause}"):
            told.answer(splits, contract)
        assert (told.refreshes.spent, told.refreshes.told_anew) == (0, 0.0)
    assert told.answer(splits, Contract())[0].tolist() == (CALLS[::-1] < 10).astype(int).tolist()
    own.close()


def test_a_version_of_few_changes_is_joined_to_the_next(tmp_path):
    config, splits = trained(tmp_path)
    calls = CALLS.copy()
    calls[:30] = 39
    publish(config, write(tmp_path / "july.csv", np.append(calls, 0)))
    own = opened(config)
    told = ToldSides(own)
    sides = told.answer(splits, Contract())
    assert sides[0].tolist() == [*(CALLS < 10).astype(int).tolist(), MISSING], (
        "what was told before; a new row: nothing"
    )
    assert (told.refreshes.spent, told.refreshes.told_anew) == (0, 0.0)
    own.close()
    calls[30:70] = 39
    publish(config, write(tmp_path / "august.csv", np.append(calls, 0)))
    own = opened(config)
    told = ToldSides(own)
    assert told.answer(splits, Contract())[0].tolist() == (np.append(calls, 0) < 10).astype(int).tolist()
    assert told.refreshes.spent == 1
    own.close()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.dictionaries(st.integers(0, ROWS - 1), st.integers(0, 39), max_size=120))
def test_rows_that_did_not_change_keep_their_sides(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("told")
    config, splits = trained(folder)
    own = opened(config)
    before = ToldSides(own).answer(splits, Contract())
    own.close()
    calls = CALLS.copy()
    calls[list(changes)] = list(changes.values())
    publish(config, write(folder / "july.csv", calls))
    own = opened(config)
    told = ToldSides(own)
    after = told.answer(splits, Contract())
    same = calls == CALLS
    differ = int((~same).sum())
    for then, now, split in zip(before, after, splits, strict=True):
        assert np.array_equal(then[same], now[same])
        as_it_is = (calls < len(split.left) * 10).astype(np.uint8)
        assert np.array_equal(now, as_it_is if differ >= LEAST_CHANGED else then)
    assert told.refreshes.spent == (differ >= LEAST_CHANGED)
    own.close()


def test_exact_sums_are_told_of_one_version(tmp_path):
    (tmp_path / "node.toml").write_text(NODE)
    rows = np.arange(3000) % 40
    write(tmp_path / "table.csv", rows)
    config = load_config(tmp_path / "node.toml")
    own = opened(config)
    require_exact(own)
    require_exact(own)
    own.close()
    for changed, refused in ((LEAST_ROWS - 1, True), (LEAST_ROWS, False)):
        other = rows.copy()
        other[:changed] = 100
        publish(config, write(tmp_path / f"{changed}.csv", other))
        own = opened(config)
        counter = own.budgets.books.counter
        if refused:
            with pytest.raises(RefusedError, match="a version that differs in 999 rows, and 1,000 are the least"):
                require_exact(own)
            assert own.budgets.books.counter == counter
        else:
            require_exact(own)
        own.close()
