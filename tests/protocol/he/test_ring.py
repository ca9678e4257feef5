"""The floating-point product is exact: by the bound, and on the inputs that come closest to breaking it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.he import ring
from protocol.he.parameters import LIMB_BITS, LIMBS, N
from tests.protocol.he import reference

TOP = 1 << (LIMB_BITS - 1)
RNG = np.random.default_rng(5)
LIMB_INPUTS = {
    "constant": np.full(N, -TOP),
    "alternating": np.where(np.arange(N) % 2, TOP - 1, -TOP),
    "tone": np.rint((TOP - 1) * np.cos(np.pi * (2 * 511 + 1) * np.arange(N) / N)).astype(np.int64),
    "random": RNG.integers(-TOP, TOP, N),
}
SMALL_INPUTS = {
    "ones": np.ones(N, dtype=np.int64),
    "minus ones": -np.ones(N, dtype=np.int64),
    "alternating": np.where(np.arange(N) % 2, 1, -1),
    "random": RNG.integers(-1, 2, N),
    "one": np.eye(1, N, N - 1, dtype=np.int64)[0],
}


def _float_product(limb: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Before rounding."""
    points = ring.transform(limb.astype(np.float64)) * ring.transform(small.astype(np.float64))
    folded = np.fft.ifft(points) * ring.untwist()
    return np.concatenate((folded.real, folded.imag))


def test_the_bound_holds_at_the_limbs_in_use_and_would_not_at_36_bits() -> None:
    assert ring.error_bound(LIMB_BITS) == pytest.approx(0.0023, abs=0.0003)
    assert ring.error_bound(36) == pytest.approx(2.4, abs=0.3)


def test_the_bound_holds_for_a_round_of_blocks() -> None:
    """64 products added before rounding: each bound once, and one rounding of each addition (Parseval)."""
    blocks = ring.BLOCKS_A_ROUND
    norms = blocks * float(TOP) * N
    assert blocks * ring.error_bound(LIMB_BITS) + (blocks - 1) * 2.0**-53 * norms < 0.25


@pytest.mark.parametrize("limb", LIMB_INPUTS)
@pytest.mark.parametrize("small", SMALL_INPUTS)
def test_products_at_the_extremes(limb: str, small: str) -> None:
    a, m = LIMB_INPUTS[limb], SMALL_INPUTS[small]
    exact = np.array(reference.product(a.tolist(), m.tolist()))
    got = _float_product(a, m)
    assert (ring.untransform(ring.transform(a.astype(float)) * ring.transform(m.astype(float))) == exact).all()
    assert np.abs(got - exact).max() <= ring.error_bound(LIMB_BITS)


def test_a_sign_aligned_product_is_exact() -> None:
    """m takes the sign of each a at one coefficient: the largest sum that there is, N 2^25."""
    a = LIMB_INPUTS["random"]
    m = np.concatenate((np.sign(a[:1]), -np.sign(a[:0:-1])))
    exact = np.array(reference.product(a.tolist(), m.tolist()))
    assert exact[0] == np.abs(a).sum()
    assert np.abs(_float_product(a, m) - exact).max() <= ring.error_bound(LIMB_BITS)


def test_a_round_of_extreme_blocks_is_exact() -> None:
    """The hint's longest sum before rounding, every block a full row of ones on the extreme limbs."""
    a, total = np.full(N, -TOP), np.zeros(ring.HALF, dtype=np.complex128)
    points = ring.transform(a.astype(float)).conj() * ring.transform(np.ones(N))
    for _ in range(ring.BLOCKS_A_ROUND):
        total += points
    exact = reference.product(reference.adjoint(a.tolist()), [1] * N)
    assert ring.untransform(total).tolist() == [ring.BLOCKS_A_ROUND * value for value in exact]


EDGES = st.sampled_from([0, 1, TOP - 1, TOP, (1 << 40) - 1, 1 << 52, (1 << 104) - 1, 1 << 103, (1 << 103) - 1])
RESIDUES = st.lists(EDGES | st.integers(0, (1 << 104) - 1), min_size=1, max_size=8)


@settings(deadline=None)
@given(RESIDUES)
def test_limbs_are_centred_and_go_back(values: list[int]) -> None:
    residues = ring.Residues(
        np.array([v >> 40 for v in values], dtype=np.uint64), np.array([v % (1 << 40) for v in values], dtype=np.uint64)
    )
    limbs = ring.limbs(residues)
    assert limbs.shape == (LIMBS, len(values))
    assert ((limbs >= -TOP) & (limbs < TOP)).all()
    total = sum(limbs[k].astype(object) << (LIMB_BITS * k) for k in range(LIMBS))
    assert [int(v) % reference.Q for v in total] == values
    back = ring.from_limbs(limbs)
    assert (back.high == residues.high).all()
    assert (back.low == residues.low).all()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-(2**60), 2**60), min_size=4, max_size=4), min_size=1, max_size=6))
def test_sums_of_limbs_become_residues(values: list[list[int]]) -> None:
    got = ring.from_limbs(np.array(values, dtype=np.int64).T)
    for k, limbs in enumerate(values):
        want = sum(limb << (LIMB_BITS * e) for e, limb in enumerate(limbs)) % reference.Q
        assert int(got.high[k]) << 40 | int(got.low[k]) == want


def test_public_randomness_is_the_reference_s() -> None:
    got = ring.public_residues(b"s" * 32, 1)
    want = reference.public(b"s" * 32, 1)
    assert (got.high.astype(object) * (1 << 40) + got.low.astype(object)).tolist() == want
