"""What a partner's replies say besides what was asked: shares are bounds of three decimals, and no figures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.attacks.scene import made_up
from partner_node.policy.readable import share_told

TELLING = ("boosting.opened", "boosting.splits", "boosting.kept", "scoring.bits")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory) -> dict[str, bytes]:
    """One body of every kind of an honest run; that of a scoring is of a table that the training has not seen."""
    scene = made_up(Path(tmp_path_factory.mktemp("replies")))
    scene.record()
    return scene.recorded


def _shares(value: Any) -> list[float]:
    """All numbers with a fraction in a body."""
    if isinstance(value, dict):
        return [share for part in value.values() for share in _shares(part)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("kind", TELLING)
def test_shares_leave_at_three_decimals(bodies, kind):
    shares = _shares(msgspec.msgpack.decode(bodies[kind]))
    assert shares
    assert [share for share in shares if round(share, 3) != share] == []


@given(st.floats(0, 1))
def test_a_share_as_told_is_a_bound(share):
    assert share <= share_told(share) <= min(1.0, share + 0.001 + 1e-12)
