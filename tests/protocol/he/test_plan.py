"""The plaintext plan: what it promises to hold, it holds at the worst; what it cannot, it refuses beforehand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol.draws import draw
from protocol.errors import RefusedError
from protocol.he.plan import (
    NOISE_CUT,
    PACKED_BITS,
    WHOLE_BITS,
    Field,
    FieldBounds,
    Packing,
    make_plan,
    signed,
)

HALF = 1 << (PACKED_BITS - 1)
SMALL = st.integers(1 - HALF, HALF - 1)


@settings(deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=9))
def test_packed_sums_come_apart(pairs: list[tuple[int, int]]) -> None:
    g, h = np.array(pairs, dtype=np.int64).T
    packing = Packing(True, FieldBounds(0, PACKED_BITS), FieldBounds(0, PACKED_BITS))
    assert packing.split(packing.vectors(g, h)).tolist() == [list(pair) for pair in pairs]
    assert np.abs(packing.vectors(g, h)).max() < 1 << (WHOLE_BITS - 1)


def test_whole_sums_come_apart() -> None:
    packing = Packing(False, FieldBounds(0, WHOLE_BITS), FieldBounds(0, WHOLE_BITS))
    g, h = np.array([-(1 << 41), 5]), np.array([(1 << 41) - 1, -5])
    assert packing.split(packing.vectors(g, h)).tolist() == [[g[0], h[0]], [5, -5]]


@settings(deadline=None)
@given(
    st.integers(2, 30), st.integers(2, 12), st.integers(-(2**29), 2**29 - 1), st.integers(-(2**11), 2**11 - 1),
    st.integers(0, 2**42 - 1),
)  # fmt: skip
def test_random_bits_above_those_in_use_are_ignored(g_bits: int, h_bits: int, g: int, h: int, above: int) -> None:
    packing = Packing(True, FieldBounds(0, g_bits), FieldBounds(0, h_bits))
    g, h = g % (1 << g_bits - 1), h % (1 << h_bits - 1)
    vector = packing.vectors(np.array([g]), np.array([h]))
    assert packing.split(vector + (above << g_bits + h_bits) % (1 << 42)).tolist() == [[g, h]]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3000), st.sampled_from([0.0, 1.0, 4.0, 16.0]), st.floats(0.05, 1.0))
def test_honest_bounds_pass_the_partner_s_check(seed: int, n: int, noise: float, held: float) -> None:
    """Whatever rows a partner holds, the bits declared are no more than sums of so many rows can need."""
    g, h = _gradients(seed, n, 1.0)
    plan = make_plan(g, h, noise)
    rng = np.random.default_rng(seed)
    whole = np.stack((plan.g.quantise(g, rng.random(n)), plan.h.quantise(h, rng.random(n))), axis=1)
    there = rng.random(n) < held
    packing = plan.packing(whole[there], noise)
    for bounds in (packing.g, packing.h):
        assert bounds.bits <= bounds.widest(int(there.sum()), noise)
    assert max(packing.bits) <= WHOLE_BITS


def test_signed_takes_the_low_bits() -> None:
    assert signed(np.array([7, 8, 15, 16]), 4).tolist() == [7, -8, -1, 0]
    assert signed(np.array([-9, 1 << 40]), 64).tolist() == [-9, 1 << 40]


def _gradients(seed: int, n: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p, y = rng.random(n), rng.random(n) < 0.2
    w = np.where(y, weight, 1.0)
    return w * (p - y), w * p * (1 - p)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([1, 5, 900, 20_000]), st.sampled_from([0, 1, 4, 16]),
    st.sampled_from([1e-6, 1.0, 37.5]),
)  # fmt: skip
def test_no_subset_of_rows_can_overflow_a_field(seed: int, n: int, noise: float, weight: float) -> None:
    """The worst bin of all holds just the positive rows, or just the negative, and noise at its cut."""
    g, h = _gradients(seed, n, weight)
    try:
        plan = make_plan(g, h, noise)
    except RefusedError:
        assume(False)
    top = (HALF if plan.packed else 1 << (WHOLE_BITS - 1)) - 1
    uniforms = np.random.default_rng(seed).random((2, n))
    for values, field, u in ((g, plan.g, uniforms[0]), (h, plan.h, uniforms[1])):
        quantised = field.quantise(values, u)
        assert np.abs(quantised).max() <= 1 << field.row_log2
        room = NOISE_CUT * noise * 2.0**field.row_log2
        assert max(quantised[quantised > 0].sum(), -quantised[quantised < 0].sum()) + room <= top


def test_a_level_s_sums_and_noise_go_through_a_packed_vector_exactly() -> None:
    g, h = _gradients(3, 20_000, 1.0)
    plan = make_plan(g, h, 4.0)
    assert plan.packed
    rng = np.random.default_rng(0)
    qg, qh = plan.g.quantise(g, rng.random(20_000)), plan.h.quantise(h, rng.random(20_000))
    bins = np.where(g > 0, 0, 1)
    packing = plan.packing(np.stack((qg, qh), axis=1), 4.0)
    for noise in (1, -1):
        cut_g, cut_h = (int(noise * NOISE_CUT * f.sigma(4.0)) for f in (packing.g, packing.h))
        sums = np.zeros((1, 2), dtype=np.int64)
        np.add.at(sums[0], bins, packing.vectors(qg, qh)[0])
        sums += packing.vectors(np.array([cut_g, -cut_g]), np.array([cut_h, -cut_h]))
        want = [[qg[bins == b].sum() + s * cut_g, qh[bins == b].sum() + s * cut_h] for b, s in ((0, 1), (1, -1))]
        assert packing.split(sums).tolist() == want


def test_at_sixty_thousand_rows_g_keeps_about_seven_bits() -> None:
    plan = make_plan(*_gradients(1, 60_000, 1.0), 4.0)
    assert plan.packed
    assert 5 <= plan.g.row_log2 <= 9


def test_a_million_rows_take_two_vectors() -> None:
    plan = make_plan(*_gradients(1, 1_000_000, 1.0), 4.0)
    assert not plan.packed
    assert plan.g.row_log2 >= 15


def test_units_are_powers_of_two_and_rounding_is_unbiased() -> None:
    field, n = Field(-4, 6), 100_000
    values = np.full(n, 0.3)
    drawn = field.quantise(values, draw(7, "rounding", 0).random(n))
    assert field.unit == 2.0**-4
    assert set(np.unique(drawn)) == {4, 5}
    assert drawn.mean() * field.unit == pytest.approx(0.3, abs=1e-3)
    assert (field.quantise(np.array([0.25, -0.25]), np.array([0.999, 0.999])) == [4, -4]).all()


def test_a_plan_that_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="do not fit 42 plaintext bits") as raised:
        make_plan(np.array([1.0, -1.0]), np.array([1.0, 1.0]), 2.0**40, "bank of the north")
    assert raised.value.party == "bank of the north"
    assert raised.value.exit_code == 5


def test_constant_zero_gradients_make_a_plan() -> None:
    plan = make_plan(np.zeros(4), np.zeros(4), 4.0)
    packing = plan.packing(np.zeros((4, 2), dtype=np.int64), 4.0)
    assert not packing.vectors(plan.g.quantise(np.zeros(4), np.zeros(4)), np.zeros(4, dtype=np.int64)).any()
