"""Pads of splits: each has one for life, and no two have the same, whatever becomes of the partner's node."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.laboratory import OPEN, Laboratory
from partner_node.algorithms.sealing import SplitSealer, sealer_of
from partner_node.policy.budgets import Budgets
from protocol.algorithms.binning import Cutting
from protocol.algorithms.boosting import Split, SplitBits, SplitQuery, Splits
from protocol.algorithms.sealing import RowKeys
from tests.laboratory import some_columns

ROWS = 203
KEYS = RowKeys(ROWS, np.arange(ROWS), np.random.default_rng(1).integers(0, 256, (ROWS, 32), dtype=np.uint8))
ZERO = SplitBits(np.zeros(26, np.uint8), np.zeros(26, np.uint8))
"""Sealed, these are the pads themselves."""


def sealer(budgets: Budgets, binning: bytes = b"bins") -> SplitSealer:
    """Of one node that begins with these budgets. binning: digest of the table's bins."""
    made = sealer_of(KEYS, binning.hex(), partial(budgets.pad_of, "alignment", binning))
    assert made is not None
    return made


def pads_of(one: SplitSealer, splits: Sequence[Split]) -> list[bytes]:
    return [(sealed := one.seal(split, ZERO)).left.tobytes() + sealed.missing.tobytes() for split in splits]


def splits(*numbers: int) -> list[Split]:
    return [Split(0, (k,)) for k in numbers]


@pytest.fixture
def budgets(tmp_path: Path) -> Budgets:
    return Budgets(tmp_path / "budgets.sqlite", "p")


def test_every_split_has_a_pad_of_its_own_and_a_repeat_the_same(budgets):
    node = sealer(budgets)
    first = pads_of(node, splits(*range(600)))
    assert len(set(first)) == 600
    assert pads_of(node, splits(*range(600))) == first
    assert len(node.pads._blocks) <= 2


def test_a_restart_repeats_what_was_told_and_goes_on_under_a_new_nonce(budgets, tmp_path):
    before = pads_of(sealer(budgets), splits(1, 2, 3))
    budgets.close()
    restarted = sealer(Budgets(tmp_path / "budgets.sqlite", "p"))
    assert pads_of(restarted, splits(3, 1)) == [before[2], before[0]]
    further = [restarted.seal(split, ZERO).pad for split in splits(4, 5)]
    assert [pad[-1] for pad in further] == [0, 1]
    assert not {pad[:16] for pad in further} & {restarted.seal(split, ZERO).pad[:16] for split in splits(1, 2, 3)}


def test_a_restored_copy_of_the_state_gives_no_pad_to_a_second_split(budgets, tmp_path):
    node = sealer(budgets)
    pads_of(node, splits(1))
    shutil.copy(tmp_path / "budgets.sqlite", tmp_path / "copy.sqlite")
    told = pads_of(node, splits(2, 3))
    restored = sealer(Budgets(tmp_path / "copy.sqlite", "p"))
    assert not set(pads_of(restored, splits(8, 9, 2, 3))) & set(told)


def test_a_changed_table_and_another_alignment_use_other_pads(budgets):
    same = splits(1, 2)
    first = pads_of(sealer(budgets, b"bins"), same)
    assert not set(pads_of(sealer(budgets, b"other bins"), same)) & set(first)
    other = sealer_of(KEYS, b"bins".hex(), partial(budgets.pad_of, "another alignment", b"bins"))
    assert other is not None
    assert not set(pads_of(other, same)) & set(first)


def test_two_nodes_at_once_tell_one_split_alike(budgets):
    one, two = sealer(budgets), sealer(budgets)
    assert pads_of(one, splits(1, 2)) == pads_of(two, splits(1, 2))
    assert len(set(pads_of(one, splits(3, 4)) + pads_of(two, splits(5, 6)))) == 4


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=40))
def test_whatever_is_asked_and_however_often_the_node_restarts(asked):
    """None: a restart."""
    kept: dict[Split, bytes] = {}
    remember = kept.setdefault
    node, told = sealer_of(KEYS, "layout", remember), dict[int, bytes]()
    for k in asked:
        if k is None:
            node = sealer_of(KEYS, "layout", remember)
            continue
        assert node is not None
        (pad,) = pads_of(node, splits(k))
        assert told.setdefault(k, pad) == pad
    assert len(set(told.values())) == len(told)


def test_a_refused_split_takes_no_pad_and_what_follows_is_opened(tmp_path):
    """The information budget refuses one split between two that it admits."""
    rng = np.random.default_rng(5)
    contract = OPEN.model_copy(update={"max_information_share": 0.12})
    columns = {"p": some_columns(rng, ROWS, 4, 0.1)}
    positions = {"p": np.where(rng.random(ROWS) < 0.7, rng.permutation(ROWS), -1)}
    lab = Laboratory(np.zeros(ROWS), [], columns, positions, tmp_path, contract)
    view = lab.view("p", Cutting(8))
    asked = (Split(0, (0,)), Split(1, (0, 1, 2, 3)), Split(0, (0,)))
    first, refused, repeat = lab.reply("p", SplitQuery(layout=view.layout, splits=asked)).bits
    assert refused is None
    assert (first.pad, first.left.tobytes()) == (repeat.pad, repeat.left.tobytes())
    assert first.pad[-1] == 0
    truth = lab.answerers["p"]._flags(asked[0], b"")
    view.learn(asked[0], first)
    held = np.flatnonzero(view.held)
    left, missing = (np.unpackbits(v, count=ROWS)[view.positions[held]] for v in (truth.left, truth.missing))
    assert np.array_equal(view.sides(asked[0], held), np.where(missing, 2, left))
    assert isinstance(lab.reply("p", SplitQuery(layout=view.layout, splits=asked)), Splits)
