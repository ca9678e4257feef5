"""The table of allowed parameters, and the constants that follow from it."""

from dataclasses import replace
from math import log2, sqrt

import pytest

from protocol.he import parameters as p
from protocol.he.blind import wide_ring

STANDARD_2018 = {4096: 109, 8192: 218}
"""Largest log2 q at 128 classical bits, ternary secret: homomorphicencryption.org standard (2018), table 1."""

PINNED = {
    (4096, 104, 21, "uniform ternary"): 131.6,
    (8192, 208, 21, "uniform ternary"): 132.1,
}
"""What was put through the lattice estimator. A new row needs an estimate of its own before it stands here."""


def test_the_table_holds_what_was_estimated_and_nothing_else() -> None:
    table = {(row.n, row.log2_q, row.eta, row.secret): row.classical_bits for row in p.ALLOWED}
    assert table == PINNED
    assert all(row.classical_bits >= 128 and row.log2_q <= STANDARD_2018[row.n] for row in p.ALLOWED)


def test_what_runs_is_in_the_table() -> None:
    assert (p.N, p.LOG2_Q, p.ETA, p.ONE_HOT.secret) in PINNED
    p.require_allowed(p.ONE_HOT)
    assert (p.INTEGERS.n, p.INTEGERS.log2_q, p.INTEGERS.eta, p.INTEGERS.secret) in PINNED
    assert (p.INTEGERS.n, p.INTEGERS.log2_q) == (wide_ring.N, wide_ring.WORDS * wide_ring.WORD_BITS)
    p.require_allowed(p.INTEGERS)


@pytest.mark.parametrize(
    "change", [{"n": 2048}, {"log2_q": 108}, {"eta": 20}, {"secret": "sparse"}, {"classical_bits": 140.0}]
)
def test_any_other_row_fails(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not in the table"):
        p.require_allowed(replace(p.ONE_HOT, **change))  # type: ignore[arg-type]


def test_the_widths_fit_together() -> None:
    assert p.LIMBS * p.LIMB_BITS == p.LOG2_Q == p.LOW_BITS + 64
    largest_flood = 3 << (p.FLOOD_BITS - 1)
    query_error = p.ETA * (p.MAX_ROWS + 2 * p.N)  # sum of e over every row, rho·e', rho'·s, at their largest
    cut = (p.N + 1) << p.LOW_BITS
    assert largest_flood + query_error + cut < 1 << (p.DELTA_LOG2 - 1)
    assert (p.MAX_ROWS + p.N + 1) << p.LOW_BITS < 1 << 63


def test_the_flood_budget_is_worth_its_forty_bits() -> None:
    """Pinsker over all answers: distance <= sqrt(I S) / 2 W, I the Fisher information of three uniforms on [0, 1]."""
    steps = 200_000
    middle = sum(4 * y * y / (0.75 - y * y) for y in ((k + 0.5) / steps - 0.5 for k in range(steps))) / steps
    information = 4 + middle
    assert information == pytest.approx(4.562, abs=1e-3)
    distance = sqrt(information) * 2 ** (p.FLOOD_BUDGET_LOG2 / 2) / 2 ** (p.FLOOD_BITS + 1)
    assert log2(distance) <= -p.STATISTICAL_BITS_TOTAL
