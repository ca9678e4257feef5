"""The yield table: every kind of message has a row, and every guard is what bounds its row."""

import pytest

from experiments.attacks.yields import Row, yield_table
from protocol.messages import CATALOGUE


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return yield_table()


def test_every_kind_of_message_has_a_row(rows):
    missing = set(CATALOGUE) - {row.kind for row in rows} - {k for k in CATALOGUE if k.startswith("test.")}
    assert missing == set()


def test_no_attack_gains_more_than_its_bound(rows):
    assert [row for row in rows if row.gained > row.bound] == []


def test_every_attack_gains_more_with_its_guard_off(rows):
    assert [row for row in rows if row.control <= row.bound] == []


def test_both_sides_lie(rows):
    assert {row.side for row in rows} == {"bank", "partner"}
