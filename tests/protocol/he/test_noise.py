"""Noise on histograms: it sums to zero, is cut, has its distribution, and repeats only for the same query."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from protocol.he.noise import gaussian, high_bits, histogram_noise, noise_of_node, zcdp
from protocol.he.plan import NOISE_CUT, FieldBounds, Packing, signed
from protocol.he.streams import words

KEY = b"n" * 32


@settings(deadline=None)
@given(st.integers(0, 9), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from([0.5, 4, 40, 2.0**18]))
def test_every_column_sums_to_zero_within_the_cut(label: int, sizes: list[int], sigma: float) -> None:
    noise = histogram_noise(KEY, b"%d" % label, range(len(sizes)), sizes, sigma)
    assert noise.dtype == np.int64
    assert np.abs(noise).max() <= NOISE_CUT * sigma
    ends = np.cumsum(sizes)
    assert [int(noise[e - s : e].sum()) for s, e in zip(sizes, ends, strict=True)] == [0] * len(sizes)
    assert noise[np.array(ends) - 1][np.array(sizes) == 1].tolist() == [0] * sizes.count(1)


@pytest.mark.parametrize("sigma", [4.0, 40.0, 2.0**17, 3.0 * 2.0**20])
def test_its_deviation_is_as_ordered(sigma: float) -> None:
    noise = histogram_noise(KEY, b"deviation", range(400), [50] * 400, sigma)
    assert noise.std() / sigma == pytest.approx(np.sqrt(1 - 1 / 50), abs=0.02)


def test_single_draws_are_a_discrete_gaussian() -> None:
    drawn, sigma = words(b"g" * 32, 200_000), 4.0
    values = gaussian(drawn[:100_000], drawn[100_000:], sigma)
    weights = np.array([exp(-(v**2) / (2 * sigma**2)) for v in range(-32, 33)])
    wanted = 100_000 * weights / weights.sum()
    seen, middle = np.bincount(values + 32, minlength=65), wanted >= 20
    observed = np.append(seen[middle], seen[~middle].sum())
    assert chisquare(observed, np.append(wanted[middle], wanted[~middle].sum())).pvalue > 1e-4


def test_wide_draws_have_uniform_low_bits() -> None:
    drawn = words(b"w" * 32, 200_000)
    values = gaussian(drawn[:100_000], drawn[100_000:], 2.0**20)
    assert chisquare(np.bincount(values & 255, minlength=256)).pvalue > 1e-4
    assert values.std() == pytest.approx(2.0**20, rel=0.02)


def test_a_column_has_its_noise_whatever_is_asked_with_it() -> None:
    together = histogram_noise(KEY, b"label", [3, 7], [4, 5], 40.0)
    assert (together[4:] == histogram_noise(KEY, b"label", [7], [5], 40.0)).all()
    assert (together[:4] == histogram_noise(KEY, b"label", [3], [4], 40.0)).all()


@pytest.mark.parametrize(("key", "label", "place"), [(b"o" * 32, b"label", 3), (KEY, b"other", 3), (KEY, b"label", 4)])
def test_another_key_label_or_column_has_another_noise(key: bytes, label: bytes, place: int) -> None:
    assert (histogram_noise(key, label, [place], [9], 40.0) != histogram_noise(KEY, b"label", [3], [9], 40.0)).any()


PACKING = Packing(True, FieldBounds(7, 21), FieldBounds(6, 21))


def test_g_and_h_have_noise_of_their_own_scaled_by_their_largest_row() -> None:
    both = PACKING.split(noise_of_node(KEY, b"node", range(300), [20] * 300, 4.0, PACKING))
    assert both[:, 0].std() == pytest.approx(4 * 2**7, rel=0.05)
    assert both[:, 1].std() == pytest.approx(4 * 2**6, rel=0.05)
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.05


def test_no_noise_is_drawn_twice_for_two_plans() -> None:
    """A query declared packed and one declared whole, or of another size, share no noise under one label."""
    packings = [PACKING, Packing(False, PACKING.g, PACKING.h), Packing(True, FieldBounds(8, 21), PACKING.h)]
    drawn = []
    for packing in packings:
        vectors = noise_of_node(KEY, b"node", range(40), [20] * 40, 4.0, packing)
        drawn.append(packing.split(vectors)[:, 0] / packing.g.sigma(4.0))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(drawn[a], drawn[b])[0, 1]) < 0.15


def test_no_noise_where_the_contract_wants_none() -> None:
    assert not noise_of_node(KEY, b"node", [0, 1], [3, 4], 0.0, PACKING).any()


@pytest.mark.parametrize(("bits", "width"), [(1, 42), (21, 42), (41, 42), (42, 42), (36, 64), (63, 64), (64, 64)])
def test_high_bits_are_uniform_and_leave_the_low_ones_alone(bits: int, width: int) -> None:
    drawn = high_bits(KEY, b"query", bits, 50_000, width)
    free = width - bits
    if not free:
        assert not drawn.any()
        return
    assert not signed(drawn, bits).any()
    assert not (drawn.view(np.uint64) >> np.uint64(width - 1) > 1).any()
    top = (drawn.view(np.uint64) >> np.uint64(bits)) & np.uint64((1 << min(free, 8)) - 1)
    assert chisquare(np.bincount(top.astype(np.int64), minlength=1 << min(free, 8))).pvalue > 1e-4


def test_other_queries_have_other_high_bits() -> None:
    assert (high_bits(KEY, b"a", 20, 100) != high_bits(KEY, b"b", 20, 100)).any()
    assert (high_bits(KEY, b"a", 20, 100) == high_bits(KEY, b"a", 20, 100)).all()


def test_the_printed_privacy_figure() -> None:
    """rho = sensitivity^2 / (2 sigma^2) a sum: one bin of every column, g and h, in every query."""
    assert zcdp(10, 3, 4.0) == pytest.approx(10 * 3 * 2 / (2 * 16))
    assert zcdp(10, 3, 0.0) == float("inf")
