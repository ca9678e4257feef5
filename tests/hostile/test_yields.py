"""The yield table: every kind of message has a row, and every guard is what bounds its row."""

from pathlib import Path

import pytest

from experiments.attacks.yields import Row, yield_table
from protocol.messages import CATALOGUE


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return yield_table()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lies_gain_the_same_over_the_wire_as_by_calls(rows):
    """The rows above are of lies through a partner's real port, with mutual TLS."""
    by_calls = {(row.kind, row.attack): row for row in yield_table(carrier="in-process")}
    gained = {(row.kind, row.attack): (row.gained, row.control) for row in rows}
    chance = "above a coin's"
    for key, row in by_calls.items():
        if chance not in row.attack:
            assert gained[key] == (row.gained, row.control), key
    assert gained.keys() == by_calls.keys()


def test_every_kind_of_message_has_a_row(rows):
    missing = set(CATALOGUE) - {row.kind for row in rows} - {k for k in CATALOGUE if k.startswith("test.")}
    assert missing == set()


def test_no_attack_gains_more_than_its_bound(rows):
    assert [row for row in rows if row.gained > row.bound] == []


def test_every_attack_gains_more_with_its_guard_off(rows):
    assert [row for row in rows if row.control <= row.bound] == []


def test_both_sides_lie(rows):
    assert {row.side for row in rows} == {"bank", "partner"}


def test_security_says_what_the_table_says(rows):
    """All that is not said there of every kind at once."""
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    everywhere = ("a body longer", "fields unknown", "asked again")
    for row in rows:
        if not row.attack.startswith(everywhere):
            assert f"| {row.side} | `{row.kind}` | {row.attack} | {row.unit} |" in text
            assert f"| {row.bound:.3g} |" in text
